package task

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// Limits of what is in a report.
const (
	maxDepth       = 100_000
	maxFailureText = 1 << 20
)

// junitReader reads a report element by element, so that it needs no more memory
// for a large one.
type junitReader struct {
	report testReport
	// mask cleans and masks the messages of failures before they are clipped.
	mask func(text string) string
	// last holds the last result of each test that a report may name again; nil if every
	// result counts.
	last map[testKey]string
	// open are the elements around the current one.
	open   []element
	suites []suite
	test   testCase
	// body is the text of a failure, while that is read.
	body *strings.Builder
	took time.Duration
}

// element is a kind of element in a report.
type element byte

const (
	otherElement element = iota
	suiteElement
	testElement
	failureElement
)

type suite struct {
	name string
	// tests are those in it and in its suites, bad those that it says are there.
	tests, bad int
}

// testKey identifies a test in a report.
type testKey struct{ suite, class, name string }

type testCase struct {
	name, class string
	// result is the name of the element that says how the test ended.
	result, message, kind string
}

// readJUnit reads the tests in a report. With reruns, a test that it names again was run
// again: only its last result counts.
func readJUnit(from io.Reader, mask func(text string) string, reruns bool) (testReport, error) {
	input, err := normalize(from)
	if err != nil {
		return testReport{}, err
	}
	decoder := xml.NewDecoder(input)
	decoder.CharsetReader = func(_ string, input io.Reader) (io.Reader, error) { return input, nil } // of a second document
	r := junitReader{mask: mask}
	if reruns {
		r.last = map[testKey]string{}
	}
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			r.report.Seconds = r.took.Seconds()
			return r.report, nil
		}
		if err == nil {
			err = r.read(token)
		}
		var large *tooLargeError
		switch {
		case errors.As(err, &large):
			return testReport{}, err
		case err != nil:
			return testReport{}, fmt.Errorf("it is not valid JUnit XML: %w", err)
		}
	}
}

func (r *junitReader) read(token xml.Token) error {
	switch token := token.(type) {
	case xml.StartElement:
		if len(r.open) == maxDepth {
			return fmt.Errorf("its elements are nested more than %d deep", maxDepth)
		}
		r.open = append(r.open, r.start(token))
	case xml.EndElement:
		kind := r.open[len(r.open)-1]
		r.open = r.open[:len(r.open)-1]
		r.end(kind)
	case xml.CharData:
		if r.body != nil && r.body.Len() < maxFailureText {
			r.body.Write(token)
		}
	}
	return nil
}

// start returns the kind of an element. Of others than suites, only those that are
// directly in what they belong to count.
func (r *junitReader) start(e xml.StartElement) element {
	within := suiteElement
	if len(r.open) > 0 {
		within = r.open[len(r.open)-1]
	}
	switch name := e.Name.Local; {
	case (name == "testsuite" || name == "testsuites") && (within == suiteElement || len(r.suites) == 0):
		failures, _ := strconv.Atoi(attribute(e, "failures")) // a missing number is 0
		errors, _ := strconv.Atoi(attribute(e, "errors"))
		r.suites = append(r.suites, suite{name: attribute(e, "name"), bad: failures + errors})
		return suiteElement
	case name == "testcase" && within == suiteElement && len(r.suites) > 0:
		r.test = testCase{name: attribute(e, "name"), class: attribute(e, "classname")}
		r.took += seconds(attribute(e, "time"))
		return testElement
	case name == resultSkipped && within == testElement:
		r.test.result = name
	case (name == resultFailure || name == resultError) && (within == testElement || within == suiteElement && len(r.suites) > 0):
		if within == suiteElement { // the suite as a whole
			r.test = testCase{}
		}
		r.test.result, r.test.message, r.test.kind = name, attribute(e, "message"), attribute(e, "type")
		r.body = &strings.Builder{}
		return failureElement
	}
	return otherElement
}

func (r *junitReader) end(kind element) {
	switch kind {
	case suiteElement:
		last := r.suites[len(r.suites)-1]
		if last.tests == 0 && last.bad > 0 {
			r.test = testCase{result: resultError, message: fmt.Sprintf("it has %s, but no tests", text.Count(last.bad, "failure"))}
			r.count()
			last = r.suites[len(r.suites)-1]
		}
		if r.suites = r.suites[:len(r.suites)-1]; len(r.suites) > 0 {
			r.suites[len(r.suites)-1].tests += last.tests
		}
	case testElement:
		r.count()
	case failureElement:
		for _, other := range []string{r.body.String(), r.test.kind} {
			if strings.TrimSpace(r.test.message) == "" {
				r.test.message = other
			}
		}
		r.body = nil
		if r.open[len(r.open)-1] == suiteElement {
			r.count()
		}
	}
}

// count counts a test that has been read.
func (r *junitReader) count() {
	within := &r.suites[len(r.suites)-1]
	within.tests++
	failure := testFailure{Suite: r.plainText(cmp.Or(r.test.class, within.name)), Name: r.plainText(r.test.name)}
	if key := (testKey{within.name, r.test.class, r.test.name}); r.last != nil && key.name != "" {
		before, again := r.last[key]
		if again && r.test.result == resultSkipped {
			return // it was not run again
		}
		r.last[key] = r.test.result
		if again {
			r.report.remove(before, failure)
			if r.test.result == resultPassed && before != resultPassed && before != resultSkipped {
				r.report.rerun = append(r.report.rerun, failure)
			}
		}
	}
	*r.report.counter(r.test.result)++
	r.report.Tests++
	if r.test.result == resultPassed || r.test.result == resultSkipped || len(r.report.Failures) == maxFailures {
		return
	}
	failure.Message = text.Clip(strings.TrimSpace(r.plainText(r.test.message)), maxFailureMessage)
	r.report.Failures = append(r.report.Failures, failure)
}

// The results of a test: the element that says how it ended, or none.
const (
	resultPassed  = ""
	resultSkipped = "skipped"
	resultFailure = "failure"
	resultError   = "error"
)

// counter returns the number of tests with a result.
func (r *testReport) counter(result string) *int {
	switch result {
	case resultSkipped:
		return &r.Skipped
	case resultFailure:
		return &r.Failed
	case resultError:
		return &r.Errors
	}
	return &r.Passed
}

// remove removes an earlier result of a test that was run again.
func (r *testReport) remove(result string, test testFailure) {
	*r.counter(result)--
	r.Tests--
	r.Failures = slices.DeleteFunc(r.Failures, func(f testFailure) bool { return f.Suite == test.Suite && f.Name == test.Name })
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name && a.Name.Space == "" {
			return a.Value
		}
	}
	return ""
}

// seconds reads the time of a test: 1,234.5 or 20ms. It is a day at most.
func seconds(s string) time.Duration {
	const day = 24 * time.Hour
	s = strings.ReplaceAll(s, ",", "")
	if n, err := strconv.ParseFloat(s, 64); err == nil && n >= 0 {
		return time.Duration(min(n, day.Seconds())*1e6) * time.Microsecond
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0
	}
	return max(0, min(d, day))
}

var (
	declaration = regexp.MustCompile(`^\s*<\?xml[^>]*?encoding=["']([A-Za-z0-9._-]+)["'][^>]*\?>`)
	// invalidReference matches control characters, which XML 1.0 does not allow.
	invalidReference = regexp.MustCompile(`^#(?:0*(27)|0*(?:[0-8]|1[1-24-9]|2[0-9]|3[01])|x0*(1[bB])|x0*(?:[0-8bceBCEfF]|1[0-9a-fA-F]));`)
)

// maxDeclaration is how much of a report is searched for its encoding, and
// maxReference how long an invalid reference may be.
const maxDeclaration, maxReference = 1 << 10, 16

// normalize converts a report to what the parser accepts, since many tools write
// invalid XML: to UTF-8, and without control characters.
func normalize(from io.Reader) (io.Reader, error) {
	input := bufio.NewReader(transform.NewReader(from, unicode.BOMOverride(transform.Nop)))
	begin, err := input.Peek(maxDeclaration)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	m := declaration.FindSubmatch(begin)
	if m == nil {
		return &xmlFilter{input}, nil
	}
	name := strings.ToLower(string(m[1]))
	encoding, err := htmlindex.Get(name)
	if err != nil {
		return nil, fmt.Errorf("unknown encoding %s", name)
	}
	if _, err := input.Discard(len(m[0])); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(name, "utf-") { // UTF-16 has a byte order mark, and is UTF-8 already
		input = bufio.NewReader(encoding.NewDecoder().Reader(input))
	}
	return &xmlFilter{input}, nil
}

// escapeMark stands for the escape character, by which many tools color messages:
// only with it are they known from the text.
const escapeMark = '\uE01B'

// plainText has a text from a report without what colors it, and without secrets.
func (r *junitReader) plainText(s string) string {
	return r.mask(strings.ReplaceAll(s, string(escapeMark), "\x1b"))
}

// xmlFilter leaves out the characters that XML does not allow, apart from the escape
// character, and has the replacement character for what is not UTF-8.
type xmlFilter struct{ from *bufio.Reader }

// Read implements io.Reader.
func (f *xmlFilter) Read(p []byte) (n int, err error) {
	for len(p)-n >= utf8.UTFMax {
		if n > 0 && f.from.Buffered() == 0 {
			return n, nil
		}
		r, _, err := f.from.ReadRune()
		if err != nil {
			return n, err
		}
		switch {
		case r == '\x1b':
			r = escapeMark
		case r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF:
			continue
		case r == '&':
			rest, _ := f.from.Peek(maxReference) // or what is left
			if bytes.HasPrefix(rest, []byte("#")) {
				if m := invalidReference.FindSubmatch(rest); m != nil {
					_, _ = f.from.Discard(len(m[0])) // it is buffered
					if m[1] == nil && m[2] == nil {
						continue
					}
					r = escapeMark
				}
			}
		}
		n += utf8.EncodeRune(p[n:], r)
	}
	return n, nil
}
