package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/runner"
)

func newPipe(c *common) *cobra.Command {
	cmd := commandGroup(&cobra.Command{
		Use:                        "pipe",
		Short:                      "List, show and test pipes",
		SuggestionsMinimumDistance: 2,
	})
	cmd.AddCommand(newPipeList(c), newPipeShow(c), newPipeTest(c))
	return cmd
}

func newPipeList(c *common) *cobra.Command {
	f := newProjectFlags(c)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the pipes that this checkout can run",
		Long: `List the pipes that this checkout can run. An asterisk marks the pipe that .delivery.yml
names. Files that exist only to be included in others are listed with --output json only.`,
		Example: "  delivery pipe list",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			project, err := f.project()
			if err != nil {
				return err
			}
			all, err := project.List(cmd.Context())
			if err != nil {
				return err
			}
			if f.output == asJSON {
				return f.printJSON(all)
			}
			rows := [][]string{{"PIPE", "SOURCE", "DESCRIPTION"}}
			for _, l := range all {
				name, description := l.Name, l.Description
				switch {
				case name == project.Pipe:
					name += " *"
				case l.Piece:
					continue // for pipes to include
				}
				if len(l.Diagnostics) > 0 {
					description = "cannot run: " + l.Diagnostics[0].Error()
				}
				rows = append(rows, []string{name, l.At.Source(), description})
			}
			return printTable(f.out, rows)
		},
	}
	f.addTo(cmd)
	return cmd
}

func newPipeShow(c *common) *cobra.Command {
	f := newProjectFlags(c)
	var source bool
	cmd := &cobra.Command{
		Use:   "show [PIPE]",
		Short: "Show the steps of a pipe with all refs resolved",
		Long: `Show the steps of a pipe with all refs resolved, and where each step is written.

With --source, print the file as it is written, also that of a built-in pipe or of a part
of one, to begin a pipe of your own with.`,
		Example: `  delivery pipe show cd
  delivery pipe show cd --source > pipes/application.yml
  delivery pipe show bake --source`,
		Args: atMostOne("PIPE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			project, err := f.project()
			if err != nil {
				return err
			}
			if source {
				content, err := project.Source(cmd.Context(), firstOrEmpty(args))
				if err == nil {
					_, err = f.out.Write(content)
				}
				return err
			}
			p, err := project.Load(cmd.Context(), runner.Request{Pipe: firstOrEmpty(args), AssumeVersion: true})
			if err != nil {
				return err
			}
			if f.output == asJSON {
				return f.printJSON(p)
			}
			_, err = fmt.Fprintf(f.out, "%s, from %s\n", p.Name, p.At.File())
			for _, section := range pipe.Sections {
				if steps := p.Section(section); err == nil && len(steps) > 0 {
					_, err = fmt.Fprintf(f.out, "\n%s\n", section)
					printSteps(f.out, steps, "  ")
				}
			}
			return err
		},
	}
	f.addTo(cmd)
	cmd.Flags().BoolVar(&source, "source", false, "print the file of the pipe as it is written")
	completeArgument(cmd, f.pipeNames)
	return cmd
}

func printSteps(out io.Writer, steps []pipe.Step, indent string) {
	for _, step := range steps {
		if step.Task == "" {
			_, _ = fmt.Fprintf(out, "%sin parallel\n", indent)
			for _, branch := range step.Parallel {
				_, _ = fmt.Fprintf(out, "%s  branch\n", indent)
				printSteps(out, branch, indent+"    ")
			}
			continue
		}
		text := step.Name
		if step.Name != step.Task {
			text += "  (" + step.Task + ")"
		}
		_, _ = fmt.Fprintf(out, "%s%-50s %s\n", indent, text, step.At)
	}
}

func newPipeTest(c *common) *cobra.Command {
	f := newProjectFlags(c)
	var fail []string
	var expect, branch string
	var update bool
	cmd := &cobra.Command{
		Use:   "test [PIPE]",
		Short: "Test which steps of a pipe run, without running them",
		Long: `Run the mock of every task in a pipe, and print the steps in the order in which they
run. Nothing is built, queried or recorded. Parallel branches run one after another, so
the order is always the same.

With --expect, compare the printed steps with a file, and fail if they differ. This makes
a unit test of the pipe. With --update, write the file instead.`,
		Example: `  delivery pipe test
  delivery pipe test cd --fail "functional tests"
  delivery pipe test --branch main
  delivery pipe test --expect pipes/application.expected`,
		Args: atMostOne("PIPE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			runs, project, err := f.runner()
			if err != nil {
				return err
			}
			summary, err := runs.Run(cmd.Context(), project, runner.Request{
				Pipe: firstOrEmpty(args), Mock: true, Fail: fail, Branch: branch, AssumeVersion: true,
			})
			if err != nil {
				return err
			}
			got := stepLines(summary)
			switch {
			case update && expect != "":
				return os.WriteFile(expect, []byte(got), 0o644) //nolint:gosec // a file of the checkout
			case expect != "":
				want, err := os.ReadFile(expect)
				if err != nil {
					return err
				}
				if difference := firstDifference(got, string(want)); difference != "" {
					return fmt.Errorf("the steps of the pipe %s differ from %s: %s\nThe pipe ran\n%s", summary.Pipe, expect, difference, got)
				}
			case update:
				return &usageError{errors.New("--update writes the file that --expect names: add --expect")}
			}
			if f.output == asJSON {
				err = f.printJSON(summary)
			} else {
				_, err = fmt.Fprint(f.out, got)
			}
			if err == nil && expect == "" && len(fail) == 0 && summary.Status != builddata.Succeeded {
				return &failedError{summary: summary}
			}
			return err
		},
	}
	f.addTo(cmd)
	completeArgument(cmd, f.pipeNames)
	cmd.Flags().StringArrayVar(&fail, "fail", nil, "name of a step whose mock fails; can be repeated")
	cmd.Flags().StringVar(&branch, "branch", "", "branch of the run, as in when: ${{ branch == 'main' }} (default: mock)")
	cmd.Flags().StringVar(&expect, "expect", "", "file that holds the expected steps")
	cmd.Flags().BoolVar(&update, "update", false, "write the file that --expect names")
	complete(cmd, "fail", func(ctx context.Context, args []string) []string { return f.stepNames(ctx, firstOrEmpty(args)) })
	completeFile(cmd, "expect")
	return cmd
}

// stepLines lists the steps that ran, one per line, and the status of the run.
func stepLines(s pipe.Summary) string {
	var b strings.Builder
	for _, step := range s.Steps {
		fmt.Fprintf(&b, "%-5s  %s", step.Section, step.Name)
		if step.Status != builddata.Succeeded {
			fmt.Fprintf(&b, ": %s", step.Status)
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%s\n", s.Status)
	return b.String()
}

// firstDifference describes the first line in which two texts differ; empty if they are
// equal.
func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(strings.ReplaceAll(want, "\r\n", "\n"), "\n")
	for i := range max(len(g), len(w)) {
		a, b := "nothing", "nothing"
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			return fmt.Sprintf("line %d is %q, expected %q", i+1, a, b)
		}
	}
	return ""
}

// firstOrEmpty returns the first argument; empty if there is none.
func firstOrEmpty(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
