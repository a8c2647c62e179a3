package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/runner"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// printSummary prints how a run ended. For a failed run, it prints the end of the failed
// step's output and the command that runs just that step again. Warnings have already been
// printed.
func (f *projectFlags) printSummary(project *runner.Project, s pipe.Summary, req runner.Request) {
	what := s.Service
	if s.Version != "" {
		what += " " + s.Version
	}
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(f.out, format, args...) }
	failed := s.Failed()
	if failed == nil {
		p("%s of %s %s in %s", s.Pipe, what, outcome(s.Status), text.Duration(s.Elapsed))
		switch {
		case s.Status == builddata.Succeeded && s.Message != "":
			p(", %s", s.Message)
		case s.Status == builddata.Failed && s.Message != "":
			p(": %s", s.Message)
		}
		if !req.Mock {
			p(" (run %s)", s.Run)
		}
		p("\n")
		for _, step := range s.Steps {
			if step.AllowedFailure {
				p("%q failed, which allow_failure allows: %s\n", step.Name, step.Message)
				if step.Log != "" {
					p("  Complete output: %s\n", step.Log)
				}
			}
		}
		return
	}
	p("%s of %s %s at %q after %s: %s\n", s.Pipe, what, outcome(s.Status), failed.Name, text.Duration(s.Elapsed), failed.Message)
	for _, step := range s.Steps {
		switch {
		case step.Name == failed.Name:
		case step.AllowedFailure:
			p("%q failed as well, which allow_failure allows: %s\n", step.Name, step.Message)
		case step.Status == builddata.Failed, step.Status == builddata.Interrupted:
			p("%q %s as well: %s\n", step.Name, outcome(step.Status), step.Message)
		case step.Reason == pipe.ReasonStopped:
			p("%q did not run: %s\n", step.Name, step.Message)
		}
	}
	for _, hint := range failed.Hints {
		p("%s\n", hints[hint])
	}
	if failed.Tail != "" {
		p("\nThe end of its output:\n\n")
		for line := range strings.Lines(failed.ShortTail()) {
			p("  %s\n", strings.TrimRight(line, "\n"))
		}
	}
	if failed.Log != "" {
		p("\nComplete output: %s\n", failed.Log)
	}
	if failed.LogAddress != "" {
		p("Also stored at:  %s\n", failed.LogAddress)
	}
	if req.Mock || failed.Reason == pipe.ReasonUnmet || failed.Reason == pipe.ReasonOlder {
		return // the same step would fail again
	}
	command, secrets := f.rerunCommand(project, s, failed, req)
	p("\nRun just that step again")
	if len(secrets) > 0 {
		p(", with the value of %s in the place of %s: what is or holds a secret is not stored", strings.Join(secrets, ", "), placeholder)
	}
	p(":\n  %s\n", command)
}

// placeholder stands where users have to write a value.
const placeholder = "…"

// rerunCommand returns the command that runs a step of a run again, with the flags of the
// run. It has placeholders for values that are not stored, and returns their names.
func (f *projectFlags) rerunCommand(
	project *runner.Project, s pipe.Summary, step *pipe.StepSummary, req runner.Request,
) (command string, secrets []string) {
	words := []string{"delivery", "run", "--run-task", step.Name}
	switch {
	case req.Of != "":
		words = append(words, "--of", req.Of)
	case s.Version != "" && req.To == "":
		words = append(words, "--version", s.Version)
	default:
		words = append(words, "--of", s.Run)
	}
	folder := f.folder
	if folder == "." {
		folder = ""
	}
	for _, flag := range [][2]string{
		{"--pipe", req.Pipe}, {"-C", folder}, {"--repository", f.repository}, {"--profile", f.profile}, {"--region", f.region},
	} {
		if flag[1] != "" {
			words = append(words, flag[0], flag[1])
		}
	}
	if s.Untraceable != "" {
		words = append(words, "--allow-unpushed")
	}
	if req.AllowOtherRevision {
		words = append(words, "--allow-other-revision")
	}
	if req.AllowOlder {
		words = append(words, "--allow-older")
	}
	mask, secrets := project.Mask(os.Environ(), req), slices.Clone(step.NotStored)
	for _, name := range slices.Sorted(maps.Keys(req.Values)) {
		value := req.Values[name]
		if slices.Contains(project.Secrets, name) || pipe.SecretName(name) || mask.Holds(value) {
			secrets = append(secrets, name)
			continue
		}
		words = append(words, "--set", name+"="+value)
	}
	for i, word := range words {
		words[i] = text.ShellWord(word)
	}
	slices.Sort(secrets)
	secrets = slices.Compact(secrets)
	for _, name := range secrets {
		words = append(words, "--set", name+"="+placeholder)
	}
	return strings.Join(words, " "), secrets
}

// outcome words the status of a run or a step that has ended, for a sentence.
func outcome(status builddata.Status) string {
	if status == builddata.Interrupted {
		return "was interrupted"
	}
	return string(status)
}
