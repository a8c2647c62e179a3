package task

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// requiredArgument belongs to all tasks that only report the run.
var requiredArgument = pipe.Argument{
	Name: pipe.ArgRequired, Kind: pipe.Switch, Summary: "Whether the step fails if this cannot be delivered; by default it only warns.",
}

// delivered is the result of a step that has reported the run.
func delivered(ctx context.Context, c *pipe.Call, what string, err error) (pipe.Result, error) {
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return pipe.Result{}, cause
	}
	if err != nil {
		err = fmt.Errorf("not delivered: %w", err)
		printf(c, "%v", err)
		return pipe.Result{}, err
	}
	printf(c, "%s", what)
	return pipe.Result{Message: what}, nil
}

// noRecipient is the result of a step without a recipient; how says how to set one.
func noRecipient(c *pipe.Call, how string) (pipe.Result, error) {
	if c.Args.Switch(pipe.ArgRequired) {
		return pipe.Result{}, fmt.Errorf("no recipient: %s", how)
	}
	return pipe.Result{Message: "no recipient: " + how}, nil
}

// summaryLine describes the run in one line:
// "strawberry 17: application failed at functional tests: exit code 1".
func summaryLine(s pipe.Summary) string {
	subject := s.Service
	if s.Version != "" {
		subject += " " + s.Version
	}
	took := s.Elapsed.Round(time.Second)
	switch s.Status {
	case builddata.Succeeded:
		result := fmt.Sprintf("%s: %s succeeded in %s", subject, s.Pipe, took)
		if s.Message != "" {
			result += ", " + s.Message
		}
		return result
	case builddata.Started:
		return fmt.Sprintf("%s: %s has been running for %s", subject, s.Pipe, took)
	}
	how := string(s.Status)
	if s.Status == builddata.Interrupted {
		how = "was interrupted"
	}
	result := fmt.Sprintf("%s: %s %s", subject, s.Pipe, how)
	if step := s.Failed(); step != nil {
		result += " at " + step.Name
		if step.Message != "" {
			result += ": " + text.Line(step.Message)
		}
	} else if s.Status == builddata.Failed && s.Message != "" {
		result += ": " + s.Message
	}
	return result
}

// details describes the run and its steps in lines.
func details(s pipe.Summary) string {
	var b strings.Builder
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-12s %s\n", name+":", value)
		}
	}
	row("Run", s.Run)
	row("Revision", s.Revision)
	row("Untraceable", s.Untraceable)
	row("Started", s.StartedAt.UTC().Format("2006-01-02 15:04:05 MST"))
	row("Took", s.Elapsed.Round(time.Second).String())
	b.WriteString("\nSteps:\n")
	for _, step := range s.Steps {
		fmt.Fprintf(&b, "  %-12s %s", step.Status, step.Name)
		if step.AllowedFailure {
			b.WriteString(" (allow_failure)")
		}
		if step.Message != "" {
			fmt.Fprintf(&b, ": %s", text.Line(step.Message))
		}
		b.WriteString("\n")
		for _, warning := range step.Warnings {
			fmt.Fprintf(&b, "  %-12s   %s\n", "warning", text.Line(warning))
		}
	}
	if step := s.Failed(); step != nil && step.Tail != "" {
		fmt.Fprintf(&b, "\nThe end of the output of %s:\n\n%s\n", step.Name, step.ShortTail())
		if step.LogAddress != "" {
			fmt.Fprintf(&b, "\nIts complete output: %s\n", step.LogAddress)
		}
	}
	return b.String()
}
