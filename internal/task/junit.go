package task

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/joshdk/go-junit"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

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
	// empty names the reports without tests, such as other XML files.
	empty []string
}

type testFailure struct {
	Suite   string `json:"suite"`
	Name    string `json:"name"`
	Message string `json:"message"`
}

// String is "14 tests passed, 1 skipped" or "2 of 14 tests failed: suite/name, …".
func (r testReport) String() string {
	if bad := r.Failed + r.Errors; bad > 0 {
		named := make([]string, 0, maxNamed)
		for _, f := range r.Failures[:min(maxNamed, len(r.Failures))] {
			named = append(named, strings.TrimPrefix(f.Suite+"/"+f.Name, "/"))
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
}

// JSON returns the report as it is stored.
func (r testReport) JSON() string {
	encoded, err := json.Marshal(r)
	if err != nil {
		return "" // unreachable: it holds numbers and strings
	}
	return string(encoded)
}

// reports are files that tests write.
type reports struct {
	folder   string
	patterns []string
	before   map[string]fs.FileInfo
}

// expectReports records which files exist before the tests run.
func expectReports(folder string, patterns []string) (reports, error) {
	r := reports{folder: folder, patterns: patterns, before: map[string]fs.FileInfo{}}
	names, err := findFiles(folder, patterns)
	if err != nil {
		return r, fmt.Errorf("reports: %w", err)
	}
	for _, name := range names {
		if info, err := os.Stat(filepath.Join(folder, filepath.FromSlash(name))); err == nil {
			r.before[name] = info
		}
	}
	return r, nil
}

// read reads the reports that were written since.
func (r reports) read() (sum testReport, err error) {
	names, err := findFiles(r.folder, r.patterns)
	if err != nil {
		return sum, fmt.Errorf("reports: %w", err)
	}
	fresh := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		info, err := os.Stat(filepath.Join(r.folder, filepath.FromSlash(name)))
		before := r.before[name]
		return err == nil && before != nil && os.SameFile(info, before) &&
			info.ModTime().Equal(before.ModTime()) && info.Size() == before.Size()
	})
	switch {
	case len(names) == 0:
		return sum, fmt.Errorf("no report was found: no file matches %s in %s", strings.Join(r.patterns, ", "), r.folder)
	case len(fresh) == 0:
		return sum, fmt.Errorf("no report was written: only %s of an earlier run exist, such as %s; let the command run the tests again",
			text.Count(len(names), "report"), names[0])
	}
	for _, name := range fresh {
		one, err := readReport(filepath.Join(r.folder, filepath.FromSlash(name)))
		if err != nil {
			return sum, fmt.Errorf("the report %s cannot be read: %w", name, err)
		}
		if one.Tests == 0 {
			sum.empty = append(sum.empty, name)
		}
		sum.add(one, "")
	}
	return sum, nil
}

// warnings names the reports without tests.
func (r testReport) warnings() []string {
	if len(r.empty) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s without tests: %s", text.Count(len(r.empty), "report"), text.ListSome(r.empty, maxNamed))}
}

func readReport(path string) (r testReport, err error) {
	file, err := os.Open(path)
	if err != nil {
		return r, err
	}
	defer file.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(io.LimitReader(file, maxReport+1))
	if err != nil {
		return r, err
	}
	if len(data) > maxReport {
		return r, fmt.Errorf("it is larger than %d MiB", maxReport>>20)
	}
	if data, err = normalize(data); err != nil {
		return r, err
	}
	suites, err := junit.Ingest(data)
	if err != nil {
		return r, fmt.Errorf("it is not valid JUnit XML: %w", err)
	}
	for _, suite := range suites {
		r.addSuite(suite)
	}
	return r, nil
}

var (
	declaration = regexp.MustCompile(`^\s*<\?xml[^>]*?encoding=["']([A-Za-z0-9._-]+)["'][^>]*\?>`)
	// invalidReference matches control characters, which XML 1.0 does not allow.
	invalidReference = regexp.MustCompile(`&#(?:0*(?:[0-8]|1[1-24-9]|2[0-9]|3[01])|x0*(?:[0-8bceBCEfF]|1[0-9a-fA-F]));`)
)

// normalize converts a report to what the parser accepts, since many tools write
// invalid XML: to UTF-8, and without control characters. Tests without a suite,
// as Node's reporter writes them, are put in one for the whole file.
func normalize(data []byte) ([]byte, error) {
	data, _, err := transform.Bytes(unicode.BOMOverride(transform.Nop), data)
	if err != nil {
		return nil, err
	}
	if m := declaration.FindSubmatch(data); m != nil {
		data = data[len(m[0]):]
		name := strings.ToLower(string(m[1]))
		encoding, err := htmlindex.Get(name)
		if err != nil {
			return nil, fmt.Errorf("unknown encoding %s", name)
		}
		if !strings.HasPrefix(name, "utf-") { // UTF-16 has a byte order mark, and is UTF-8 already
			if data, err = encoding.NewDecoder().Bytes(data); err != nil {
				return nil, err
			}
		}
	}
	data = bytes.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
			return -1
		}
		return r // an invalid one becomes the replacement character
	}, data)
	data = invalidReference.ReplaceAll(data, nil)
	data = bytes.ReplaceAll(data, []byte("<testsuites"), []byte("<testsuite"))
	return bytes.ReplaceAll(data, []byte("</testsuites"), []byte("</testsuite")), nil
}

func (r *testReport) addSuite(suite junit.Suite) {
	var one testReport
	var took time.Duration
	for _, test := range suite.Tests {
		one.Tests++
		took += max(0, min(test.Duration, 24*time.Hour))
		switch test.Status {
		case junit.StatusSkipped:
			one.Skipped++
			continue
		case junit.StatusFailed:
			one.Failed++
		case junit.StatusError:
			one.Errors++
		default:
			one.Passed++
			continue
		}
		if len(one.Failures) < maxFailures {
			one.Failures = append(one.Failures, failure(suite, test))
		}
	}
	one.Seconds = took.Seconds()
	r.add(one, "")
	for _, inner := range suite.Suites {
		r.addSuite(inner)
	}
}

func failure(suite junit.Suite, test junit.Test) testFailure {
	message := test.Message
	if strings.TrimSpace(message) == "" && test.Error != nil {
		message = test.Error.Error()
	}
	name := test.Classname
	if name == "" {
		name = suite.Name
	}
	message = text.Clip(strings.TrimSpace(text.Clean(message)), maxFailureMessage)
	return testFailure{Suite: name, Name: test.Name, Message: message}
}
