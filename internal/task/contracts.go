package task

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// contractProgram is the name of the executable in a consumer's folder.
const contractProgram = "contract"

// contracts runs the tests by which consumers of a service check what they rely
// on.
func (r *Registry) contracts() pipe.Definition {
	return pipe.Definition{
		Type: "test.contracts", Summary: "Runs the contract tests that consumers have registered.",
		Arguments: []pipe.Argument{
			{
				Name: "contracts", Kind: pipe.Text,
				Summary: "The folder with one folder per consumer, each with an executable named contract; by default contracts.",
			},
			{
				Name: "reports", Kind: pipe.List,
				Summary: "Patterns of the JUnit XML files that the contracts write, relative to the consumer's folder.",
			},
			allowEmpty, followLinks, countReruns, folderArgument, envArgument, graceArgument,
		},
		Lacking: lacking(""),
		Run:     r.runContracts,
		Mock: mock(nil, func(c *pipe.Call) string {
			return "run the contracts in " + contractsFolder(c)
		}),
	}
}

func contractsFolder(c *pipe.Call) string { return cmp.Or(c.Args.Text("contracts"), "contracts") }

func (r *Registry) runContracts(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
	dir, err := folder(c)
	if err != nil {
		return pipe.Result{}, err
	}
	root := resolve(dir, contractsFolder(c))
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return pipe.Result{}, fmt.Errorf("list the contracts: %w", err)
	}
	var consumers []string
	for _, entry := range entries { // ReadDir sorts them
		if entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") {
			consumers = append(consumers, entry.Name())
		}
	}
	result := pipe.Result{Message: "no contracts registered", Outputs: map[string]string{}}
	if len(consumers) == 0 {
		printf(c, "%s in %s", result.Message, root)
		return result, checkDeclared(c, result.Outputs)
	}
	var sum testReport
	var broken []string
	for _, consumer := range consumers {
		one, report, err := r.runContract(ctx, c, filepath.Join(root, consumer))
		if cause := context.Cause(ctx); cause != nil {
			return result, cause
		}
		sum.add(report, consumer)
		maps.Copy(result.Outputs, one.Outputs)
		for _, warning := range slices.Concat(one.Warnings, report.warnings) {
			result.Warnings = append(result.Warnings, consumer+": "+warning)
		}
		if err != nil {
			printf(c, "the contract of %s is broken: %v", consumer, err)
			broken = append(broken, fmt.Sprintf("%s: %v", consumer, err))
		}
	}
	if len(c.Args.List("reports")) > 0 {
		result.Report = sum.JSON()
	}
	if len(broken) > 0 {
		return result, fmt.Errorf("%d of %s broken: %s",
			len(broken), text.Count(len(consumers), "contract"), strings.Join(broken, "; "))
	}
	result.Message = text.Count(len(consumers), "contract") + " kept"
	if sum.Tests > 0 {
		result.Message += ", " + sum.String()
	}
	return result, checkDeclared(c, result.Outputs)
}

// runContract runs the contract of one consumer.
func (r *Registry) runContract(ctx context.Context, c *pipe.Call, dir string) (pipe.Result, testReport, error) {
	program := filepath.Join(dir, contractProgram)
	info, err := os.Stat(program)
	if err != nil || !info.Mode().IsRegular() || runtime.GOOS != "windows" && info.Mode()&0o111 == 0 {
		return pipe.Result{}, testReport{}, fmt.Errorf("there is no executable %s in its folder %s", contractProgram, dir)
	}
	expected, err := expectReports(c, dir)
	if err != nil {
		return pipe.Result{}, testReport{}, err
	}
	printf(c, "$ %s", program)
	result, failed := r.start(ctx, c, command{
		args: []string{program}, dir: dir, environ: environ(c), grace: c.Args.Duration(graceArgument.Name),
	})
	if len(expected.patterns) == 0 || ctx.Err() != nil {
		return result, testReport{}, failed
	}
	report, err := expected.read(ctx)
	return result, report, report.verdict(failed, err)
}
