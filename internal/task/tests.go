package task

import (
	"context"
	"errors"
	"fmt"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// tests runs tests and reads their reports.
func (r *Registry) tests() pipe.Definition {
	return pipe.Definition{
		Type: "test.command", Summary: "Runs tests and reads their JUnit XML reports.",
		Arguments: []pipe.Argument{
			{
				Name: "command", Kind: pipe.Command, Required: true,
				Summary: "The command that runs the tests: a text for the shell, or a list of a program and its arguments.",
			},
			{
				Name: "reports", Kind: pipe.List,
				Summary: "Patterns of the JUnit XML files that the command writes, relative to its folder: build/**/*.xml. " +
					"Without them only the exit code counts.",
			},
			allowEmpty, followLinks, countReruns, shellArgument, folderArgument, envArgument, graceArgument,
		},
		Lacking: lacking(""),
		Run:     r.runTests,
		Mock: mock(nil, func(c *pipe.Call) string {
			return "run the tests " + described(c.Args.Script("command"))
		}),
	}
}

func (r *Registry) runTests(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
	dir, err := folder(c)
	if err != nil {
		return pipe.Result{}, err
	}
	expected, err := expectReports(c, dir)
	if err != nil {
		return pipe.Result{}, err
	}
	result, failed := r.script(ctx, c, c.Args.Script("command"), dir)
	if cause := context.Cause(ctx); cause != nil {
		return result, cause
	}
	if len(expected.patterns) > 0 {
		report, err := expected.read(ctx)
		if err == nil {
			result.Report, result.Message = report.JSON(), report.String()
			printf(c, "%s", result.Message)
		}
		failed = report.verdict(failed, err)
		result.Warnings = append(result.Warnings, report.warnings...)
	}
	if failed != nil {
		return result, failed
	}
	return result, checkDeclared(c, result.Outputs)
}

// verdict combines the failed tests with the errors of the command and of reading
// its reports. It is nil if all went well.
func (r testReport) verdict(command, reading error) error {
	switch {
	case reading != nil && command != nil:
		return fmt.Errorf("%w; and %w", command, reading)
	case reading != nil:
		return reading
	case r.Failed+r.Errors == 0:
		return command
	case command != nil:
		return fmt.Errorf("%s (%w)", r, command)
	}
	return errors.New(r.String())
}
