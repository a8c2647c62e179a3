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
	cmd := group(&cobra.Command{
		Use:                        "pipe",
		Short:                      "List pipes, show what they are made of, test them",
		SuggestionsMinimumDistance: 2,
	})
	cmd.AddCommand(newPipeList(c), newPipeShow(c), newPipeTest(c))
	return cmd
}

func newPipeList(c *common) *cobra.Command {
	w := newProjectFlags(c)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the pipes that this checkout can run",
		Long: `List the pipes that this checkout can run; a * marks the one that .delivery.yml
names. Files that others include are left out, unless the output is json.`,
		Example: "  delivery pipe list",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, project, err := w.project()
			if err != nil {
				return err
			}
			all, err := project.List(cmd.Context())
			if err != nil {
				return err
			}
			if w.output == asJSON {
				return w.printJSON(all)
			}
			rows := [][]string{{"PIPE", "FROM", "WHAT IT DOES"}}
			for _, l := range all {
				name, what := l.Name, l.Description
				switch {
				case name == project.Pipe:
					name += " *"
				case l.Piece:
					continue // for pipes to include
				}
				if len(l.Diagnostics) > 0 {
					what = "cannot run: " + l.Diagnostics[0].Error()
				}
				rows = append(rows, []string{name, l.At.Source(), what})
			}
			return table(w.out, rows)
		},
	}
	w.addTo(cmd)
	return cmd
}

func newPipeShow(c *common) *cobra.Command {
	w := newProjectFlags(c)
	cmd := &cobra.Command{
		Use:     "show [PIPE]",
		Short:   "Show the steps of a pipe, with all refs resolved",
		Example: "  delivery pipe show cd",
		Args:    atMostOne("PIPE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, project, err := w.project()
			if err != nil {
				return err
			}
			p, err := project.Load(cmd.Context(), runner.Request{Pipe: first(args)})
			if err != nil {
				return err
			}
			if w.output == asJSON {
				return w.printJSON(p)
			}
			_, err = fmt.Fprintf(w.out, "%s, from %s\n", p.Name, p.At.File())
			for _, section := range pipe.Sections {
				if steps := p.Section(section); err == nil && len(steps) > 0 {
					_, err = fmt.Fprintf(w.out, "\n%s\n", section)
					printSteps(w.out, steps, "  ")
				}
			}
			return err
		},
	}
	w.addTo(cmd)
	completeArgument(cmd, w.pipeNames)
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
	w := newProjectFlags(c)
	var fail []string
	var expect string
	var update bool
	cmd := &cobra.Command{
		Use:   "test [PIPE]",
		Short: "Test which steps of a pipe run, and in which order, by their mocks",
		Long: `Test which steps of a pipe run, and in which order, by running the mock of every
task: nothing is built, asked or recorded. The steps are printed as they ran, those
of parallel branches one branch after the other.

With --expect, what is printed has to be what the file holds, which makes a unit test
of a pipe; with --update, the file is written instead.`,
		Example: `  delivery pipe test
  delivery pipe test cd --fail "functional tests"
  delivery pipe test --expect pipes/application.expected`,
		Args: atMostOne("PIPE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			runs, project, err := w.project()
			if err != nil {
				return err
			}
			summary, err := runs.Run(cmd.Context(), project, runner.Request{Pipe: first(args), Mock: true, Fail: fail})
			if err != nil {
				return err
			}
			got := order(summary)
			switch {
			case update && expect != "":
				return os.WriteFile(expect, []byte(got), 0o644) //nolint:gosec // a file of the checkout
			case expect != "":
				want, err := os.ReadFile(expect)
				if err != nil {
					return err
				}
				if line, differs := difference(got, string(want)); differs {
					return fmt.Errorf("the pipe %s does not run as %s says: %s\nIt ran\n%s", summary.Pipe, expect, line, got)
				}
			case update:
				return &usageError{errors.New("--update writes the file of --expect: name one")}
			}
			if w.output == asJSON {
				err = w.printJSON(summary)
			} else {
				_, err = fmt.Fprint(w.out, got)
			}
			if err == nil && expect == "" && len(fail) == 0 && summary.Status != builddata.Succeeded {
				return &failedError{summary: summary}
			}
			return err
		},
	}
	w.addTo(cmd)
	completeArgument(cmd, w.pipeNames)
	cmd.Flags().StringArrayVar(&fail, "fail", nil, "step whose mock fails; may be repeated")
	cmd.Flags().StringVar(&expect, "expect", "", "file that holds what has to be printed")
	cmd.Flags().BoolVar(&update, "update", false, "write that file")
	complete(cmd, "fail", func(ctx context.Context, args []string) []string { return w.stepNames(ctx, first(args)) })
	completeFile(cmd, "expect")
	return cmd
}

// order is what ran, a line for each step.
func order(s pipe.Summary) string {
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

// difference is the first line in which two texts differ.
func difference(got, want string) (line string, differs bool) {
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
			return fmt.Sprintf("line %d is %q, expected was %q", i+1, a, b), true
		}
	}
	return "", false
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
