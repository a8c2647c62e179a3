package task

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// Limits of test reports.
const (
	maxReport         = 64 << 20
	maxFailures       = 20
	maxFailureMessage = 500
	maxNamed          = 5
)

// testReport is the result of tests. It is stored with the step's event.
type testReport struct {
	Tests   int     `json:"tests"`
	Passed  int     `json:"passed"`
	Failed  int     `json:"failed"`
	Errors  int     `json:"errors"`
	Skipped int     `json:"skipped"`
	Seconds float64 `json:"seconds"`
	// Failures are the first tests with failures or errors.
	Failures []testFailure `json:"failures,omitempty"`
	// rerun are tests that failed and passed when they were run again.
	rerun []testFailure
	// warnings are about reports that were not read, or have no tests.
	warnings []string
}

type testFailure struct {
	Suite   string `json:"suite"`
	Name    string `json:"name"`
	Message string `json:"message"`
}

// String is suite/name.
func (f testFailure) String() string { return strings.Trim(f.Suite+"/"+f.Name, "/") }

// String is "14 tests passed, 1 skipped" or "2 of 14 tests failed: suite/name, …".
func (r testReport) String() string {
	if bad := r.Failed + r.Errors; bad > 0 {
		named := make([]string, 0, maxNamed)
		for _, f := range r.Failures[:min(maxNamed, len(r.Failures))] {
			named = append(named, f.String())
		}
		if bad > len(named) {
			named = append(named, "…")
		}
		return fmt.Sprintf("%d of %s failed: %s", bad, text.Count(r.Tests, "test"), strings.Join(named, ", "))
	}
	s := text.Count(r.Passed, "test") + " passed"
	if r.Skipped > 0 {
		s += fmt.Sprintf(", %d skipped", r.Skipped)
	}
	return s
}

// add adds the result of other tests, whose suites get a prefix.
func (r *testReport) add(other testReport, prefix string) {
	r.Tests += other.Tests
	r.Passed += other.Passed
	r.Failed += other.Failed
	r.Errors += other.Errors
	r.Skipped += other.Skipped
	r.Seconds = math.Round((r.Seconds+other.Seconds)*1000) / 1000
	for _, f := range other.Failures[:min(maxFailures-len(r.Failures), len(other.Failures))] {
		f.Suite = strings.Trim(prefix+"/"+f.Suite, "/")
		r.Failures = append(r.Failures, f)
	}
	r.rerun = append(r.rerun, other.rerun...)
}

// JSON returns the report as it is stored.
func (r testReport) JSON() string {
	encoded, err := json.Marshal(r)
	if err != nil {
		return "" // unreachable: it holds numbers and strings
	}
	return string(encoded)
}

var allowEmpty = pipe.Argument{
	Name: "allow_empty", Kind: pipe.Switch,
	Summary: "Whether it is fine if reports are expected, but no tests were run; by default the step fails.",
}

var followLinks = pipe.Argument{
	Name: "follow_links", Kind: pipe.Switch,
	Summary: "Whether reports are also looked for, and read, through symbolic links; by default they are not.",
}

var countReruns = pipe.Argument{
	Name: "reruns", Kind: pipe.Switch,
	Summary: "Whether a test that one report names more than once was run again, so that only its last result counts; " +
		"by default all count, since different tests may have the same name.",
}

// reports are files that tests write.
type reports struct {
	folder   string
	patterns []string
	// follow says that symbolic links are followed, allowEmpty that it is fine if there are
	// no tests, and reruns that of a test that was run again only the last result counts.
	follow, allowEmpty, reruns bool
	mask                       func(text string) string
	before                     map[string]fs.FileInfo
}

// expectReports records which files exist before the tests run.
func expectReports(c *pipe.Call, folder string) (reports, error) {
	patterns := c.Args.List("reports")
	r := reports{
		folder: folder, patterns: patterns, mask: c.Mask, before: map[string]fs.FileInfo{}, follow: c.Args.Switch(followLinks.Name),
		allowEmpty: c.Args.Switch(allowEmpty.Name), reruns: c.Args.Switch(countReruns.Name),
	}
	found, err := r.find()
	if err != nil {
		return r, err
	}
	for _, name := range found.files {
		if info, err := r.inspect(name); err == nil {
			r.before[name] = info
		}
	}
	return r, nil
}

// find finds the files that the patterns match.
func (r reports) find() (found, error) {
	files, err := findFiles(r.folder, r.patterns, r.follow)
	if err != nil {
		return files, fmt.Errorf("reports: %w", err)
	}
	return files, nil
}

// inspect describes a file that was found: itself, or what it leads to by symbolic links.
func (r reports) inspect(name string) (fs.FileInfo, error) {
	path := filepath.Join(r.folder, filepath.FromSlash(name))
	if r.follow {
		return os.Stat(path)
	}
	return os.Lstat(path)
}

// open reads a file that was found. Links are followed by name first, so that the file
// that is opened is a regular one by then.
func (r reports) open(ctx context.Context, name string, read func(io.Reader) error) error {
	folder := r.folder
	if r.follow {
		path, err := filepath.EvalSymlinks(filepath.Join(folder, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		folder, name = filepath.Split(path)
	}
	return readFile(ctx, folder, name, maxReport, read)
}

// read reads the reports that were written since.
func (r reports) read(ctx context.Context) (sum testReport, err error) {
	found, err := r.find()
	if err != nil {
		return sum, err
	}
	names := found.files
	fresh := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		info, err := r.inspect(name)
		before := r.before[name]
		return err == nil && before != nil && os.SameFile(info, before) &&
			info.ModTime().Equal(before.ModTime()) && info.Size() == before.Size()
	})
	sum.warnings = found.warnings()
	switch {
	case len(names) == 0 && !r.allowEmpty:
		return sum, fmt.Errorf("no report was found: %w", found.noneOf(r.patterns, r.folder))
	case len(fresh) == 0 && !r.allowEmpty:
		return sum, fmt.Errorf("no report was written: only %s of an earlier run exist, such as %s; let the command run the tests again",
			text.Count(len(names), "report"), names[0])
	}
	var empty []string
	for _, name := range fresh {
		var one testReport
		err := r.open(ctx, name, func(from io.Reader) (err error) {
			one, err = readJUnit(from, r.mask, r.reruns)
			return err
		})
		if err != nil {
			return sum, fmt.Errorf("the report %s cannot be read: %w", name, err)
		}
		if one.Tests == 0 {
			empty = append(empty, name)
		}
		sum.add(one, "")
	}
	if len(sum.rerun) > 0 {
		names := make([]string, len(sum.rerun))
		for i, f := range sum.rerun {
			names[i] = f.String()
		}
		sum.warnings = append(sum.warnings, fmt.Sprintf("%s failed at first and passed when run again: %s",
			text.Count(len(names), "test"), text.ListSome(names, maxNamed)))
	}
	if len(empty) == 0 {
		return sum, nil
	}
	problem := fmt.Sprintf("%s without tests: %s", text.Count(len(empty), "report"), text.ListSome(empty, maxNamed))
	if sum.Tests == 0 && !r.allowEmpty {
		return sum, fmt.Errorf("no tests were run: %s; if that is fine, set %s: true", problem, allowEmpty.Name)
	}
	sum.warnings = append(sum.warnings, problem)
	return sum, nil
}
