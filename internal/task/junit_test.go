package task_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// Examples of reports: Surefire and Gradle write one suite per file, pytest, PHPUnit
// and others suites in suites, Node tests without a suite.
const (
	surefire = `<?xml version="1.0" encoding="UTF-8"?>
<testsuite xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" name="com.example.BasketTest" time="1,234.5"
    tests="4" errors="1" skipped="1" failures="1">
  <properties><property name="java.version" value="21"/></properties>
  <testcase name="adds" classname="com.example.BasketTest" time="1,000.5"><system-out><![CDATA[hello]]></system-out></testcase>
  <testcase name="flaky" classname="com.example.BasketTest" time="0.5"><flakyFailure message="once">x</flakyFailure></testcase>
  <testcase name="removes" classname="com.example.BasketTest" time="0.25">
    <failure message="expected: &lt;1&gt; but was: &lt;2&gt;" type="AssertionFailedError"><![CDATA[stack]]></failure></testcase>
  <testcase name="breaks" classname="com.example.BasketTest" time="0"><error type="NPE">java.lang.NullPointerException
	at com.example</error></testcase>
  <testcase name="later" classname="com.example.BasketTest" time="0"><skipped/></testcase>
</testsuite>`
	node = `<?xml version="1.0" encoding="utf-8"?>
<testsuites>
	<testcase name="stray" time="0.001" classname="test"/>
	<testsuite name="group" time="0.01" tests="2">
		<testcase name="inner" time="0.001" classname="test" failure="boom">
			<failure type="testCodeFailure" message="boom">Error: boom</failure></testcase>
		<testsuite name="deep"><testcase name="deepest" time="0.001"/></testsuite>
	</testsuite>
	<!-- tests 3 -->
</testsuites>
`
	passing = `<testsuites><testsuite name="s"><testcase name="a"/>` +
		`<testcase name="b"><skipped message="not now"/></testcase></testsuite></testsuites>`
)

func encoded(t *testing.T, name, text string) string {
	t.Helper()
	var out string
	var err error
	if name == "UTF-16" {
		out, err = unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(text)
	} else {
		out, err = charmap.ISO8859_1.NewEncoder().String(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTests_Reports(t *testing.T) {
	german := `<?xml version='1.0' encoding='%s' standalone="no"?>` +
		`<testsuite name="Prüfung"><testcase name="größer"><failure message="Fünf"/></testcase></testsuite>`
	const oneFailure = `{"tests":1,"passed":0,"failed":1,"errors":0,"skipped":0,"seconds":0,"failures":[`
	for _, tt := range []struct {
		name, xml string
		want      string // the report
		says      string // the message or error
	}{
		{
			"Surefire", surefire,
			`{"tests":5,"passed":2,"failed":1,"errors":1,"skipped":1,"seconds":1001.25,"failures":[` +
				`{"suite":"com.example.BasketTest","name":"removes","message":"expected: \u003c1\u003e but was: \u003c2\u003e"},` +
				`{"suite":"com.example.BasketTest","name":"breaks","message":"java.lang.NullPointerException\n\tat com.example"}]}`,
			"2 of 5 tests failed: com.example.BasketTest/removes, com.example.BasketTest/breaks",
		},
		{
			"Node", node,
			`{"tests":3,"passed":2,"failed":1,"errors":0,"skipped":0,"seconds":0.003,"failures":[{"suite":"test","name":"inner","message":"boom"}]}`,
			"1 of 3 tests failed: test/inner",
		},
		{"Passing", passing, `{"tests":2,"passed":1,"failed":0,"errors":0,"skipped":1,"seconds":0}`, "1 test passed, 1 skipped"},
		{"ByteOrderMark", "\ufeff" + passing, `{"tests":2,"passed":1,"failed":0,"errors":0,"skipped":1,"seconds":0}`, "1 test passed, 1 skipped"},
		{
			"Latin1", encoded(t, "ISO-8859-1", fmt.Sprintf(german, "ISO-8859-1")),
			oneFailure + `{"suite":"Prüfung","name":"größer","message":"Fünf"}]}`,
			"1 of 1 test failed: Prüfung/größer",
		},
		{
			"UTF16", encoded(t, "UTF-16", fmt.Sprintf(german, "UTF-16")),
			oneFailure + `{"suite":"Prüfung","name":"größer","message":"Fünf"}]}`,
			"1 of 1 test failed: Prüfung/größer",
		},
		{
			"ControlCharacters",
			`<testsuite name="s"><testcase name="a"><failure message="&#27;[31mred&#x1b;[0m">` + "\x1b[31m\xff</failure></testcase></testsuite>",
			oneFailure + `{"suite":"s","name":"a","message":"red"}]}`,
			"1 of 1 test failed: s/a",
		},
		{"NoTests", "<testsuites/>", "", "no tests were run: 1 report without tests: out/a.xml; if that is fine, set allow_empty: true"},
		{"NoContent", "", "", "no tests were run: 1 report without tests: out/a.xml"},
		{
			"SuiteFails", `<testsuites><testsuite name="login" tests="1" errors="1"><error message="Test suite failed to run"/></testsuite></testsuites>`,
			`{"tests":1,"passed":0,"failed":0,"errors":1,"skipped":0,"seconds":0,"failures":[{"suite":"login","name":"","message":"Test suite failed to run"}]}`,
			"1 of 1 test failed: login",
		},
		{
			"SuiteSaysItFailed", `<testsuites errors="1"><testsuite name="login" tests="1" errors="1"/><testsuite name="b"><testcase name="c"/></testsuite></testsuites>`,
			`{"tests":2,"passed":1,"failed":0,"errors":1,"skipped":0,"seconds":0,"failures":[{"suite":"login","name":"","message":"it has 1 failure, but no tests"}]}`,
			"1 of 2 tests failed: login",
		},
		{
			"TwoDocumentsAfterText", "Running tests\n" + passing + "\n" + `<?xml version="1.0" encoding="ISO-8859-1"?>` + passing,
			`{"tests":4,"passed":2,"failed":0,"errors":0,"skipped":2,"seconds":0}`, "2 tests passed, 2 skipped",
		},
		{
			"OtherElements", `<ns:testsuite xmlns:ns="urn:x" name="s"><testcase name="outer"><rerunFailure message="once"><testcase name="no"/></rerunFailure>` +
				`<system-out><failure/></system-out></testcase><other><testcase name="no"/></other></ns:testsuite>`,
			`{"tests":1,"passed":1,"failed":0,"errors":0,"skipped":0,"seconds":0}`, "1 test passed",
		},
		{
			"DTD", `<!DOCTYPE testsuite [<!ENTITY x "y">]><testsuite name="s"><testcase name="a"><failure type="E"/></testcase></testsuite>`,
			oneFailure + `{"suite":"s","name":"a","message":"E"}]}`, "1 of 1 test failed: s/a",
		},
		{
			"SecretAtTheCut", `<testsuite name="s"><testcase name="a"><failure message="` + strings.Repeat("x", 496) + `hunter22"/></testcase></testsuite>`,
			oneFailure + `{"suite":"s","name":"a","message":"` + strings.Repeat("x", 496) + `***"}]}`, "1 of 1 test failed: s/a",
		},
		{
			"Deep", strings.Repeat("<testsuite name='s'>", 20_000) + "<testcase name='a'/>" + strings.Repeat("</testsuite>", 20_000),
			`{"tests":1,"passed":1,"failed":0,"errors":0,"skipped":0,"seconds":0}`, "1 test passed",
		},
		{"TooDeep", strings.Repeat("<a>", 200_000), "", "its elements are nested more than 100000 deep"},
		{"Truncated", passing[:len(passing)-20], "", "it is not valid JUnit XML: XML syntax error on line 1: unexpected EOF"},
		{"Malformed", "<testsuite><testcase></testsuite>", "", "the report out/a.xml cannot be read: it is not valid JUnit XML"},
		{"UnknownEncoding", `<?xml version="1.0" encoding="klingon"?><testsuite/>`, "", "unknown encoding klingon"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newFixture(t)
			b.write(t, "prepared.xml", tt.xml)
			got, _, err := b.try(t, "test.command", pipe.Args{
				"command": sh("mkdir -p out; cp prepared.xml out/a.xml"), "reports": []string{"out/**/*.xml"},
			})
			if diff := cmp.Diff(got.Report, tt.want); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(tt.says, "passed") {
				if err != nil || got.Message != tt.says {
					t.Errorf("got %q (%v), want %q", got.Message, err, tt.says)
				}
			} else {
				wantError(t, err, tt.says)
			}
			if len(got.Warnings) > 0 {
				t.Errorf("got warnings %q", got.Warnings)
			}
		})
	}
}

func TestTests(t *testing.T) {
	t.Run("OnlyTheExitCode", func(t *testing.T) {
		b := newFixture(t)
		got, _, err := b.try(t, "test.command", pipe.Args{"command": sh(`echo url=x >> "$DELIVERY_OUTPUT"`)}, "url")
		if err != nil || got.Report != "" || got.Outputs["url"] != "x" {
			t.Errorf("got %+v (%v)", got, err)
		}
	})
	t.Run("CommandAndTestsFail", func(t *testing.T) {
		b := newFixture(t)
		b.write(t, "a.xml", node)
		got, _, err := b.try(t, "test.command", pipe.Args{"command": sh("cp a.xml b.xml; exit 4"), "reports": []string{"b.xml"}})
		wantError(t, err, "1 of 3 tests failed: test/inner (exit code 4)")
		if got.Report == "" {
			t.Error("there is no report")
		}
	})
	t.Run("OnlyTheCommandFails", func(t *testing.T) {
		b := newFixture(t)
		b.write(t, "a.xml", passing)
		got, _, err := b.try(t, "test.command", pipe.Args{"command": sh("cp a.xml b.xml; exit 4"), "reports": []string{"b.xml"}})
		if err == nil || err.Error() != "exit code 4" || got.Message != "1 test passed, 1 skipped" || got.Report == "" {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("NoReport", func(t *testing.T) {
		b := newFixture(t)
		args := pipe.Args{"command": sh("true"), "reports": []string{"out/*.xml"}}
		_, _, err := b.try(t, "test.command", args)
		wantError(t, err, "no report was found: no file matches out/*.xml")
		b.write(t, "out/old.xml", passing)
		got, _, err := b.try(t, "test.command", args)
		wantError(t, err, "no report was written", "out/old.xml")
		if got.Report != "" {
			t.Errorf("an old report was counted: %+v", got)
		}
		args["command"] = sh("exit 2")
		_, _, err = b.try(t, "test.command", args)
		wantError(t, err, "exit code 2", "no report was written")
	})
	t.Run("SomeWithoutTests", func(t *testing.T) {
		b := newFixture(t)
		b.write(t, "a.xml", passing)
		b.write(t, "b.xml", `<test-run result="Failed"><test-case result="Failed"/></test-run>`) // NUnit's
		got, _, err := b.try(t, "test.command", pipe.Args{"command": sh("mkdir out; cp *.xml out"), "reports": []string{"out/*.xml"}})
		warnings := []string{"1 report without tests: out/b.xml"}
		if err != nil || got.Message != "1 test passed, 1 skipped" || !cmp.Equal(got.Warnings, warnings) {
			t.Errorf("got %+v (%v)", got, err)
		}
	})
	t.Run("AllowEmpty", func(t *testing.T) {
		b := newFixture(t)
		args := pipe.Args{"command": sh("true"), "reports": []string{"*.xml"}, "allow_empty": true}
		for warning, command := range map[string]string{"": "true", "1 report without tests: a.xml": "touch a.xml"} {
			args["command"] = sh(command)
			got, _, err := b.try(t, "test.command", args)
			if err != nil || got.Message != "0 tests passed" || strings.Join(got.Warnings, "") != warning {
				t.Errorf("got %+v (%v)", got, err)
			}
		}
		args["command"] = sh("touch a.xml; exit 3")
		_, _, err := b.try(t, "test.command", args)
		wantError(t, err, "exit code 3")
	})
	t.Run("Memory", func(t *testing.T) {
		b := newFixture(t)
		var xml strings.Builder
		for range 9_000 {
			xml.WriteString("<testsuite><testcase/>")
		}
		b.write(t, "deep.xml", xml.String()+strings.Repeat("</testsuite>", 9_000))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, _, err := b.try(t, "test.command", pipe.Args{"command": sh("cp deep.xml a.xml"), "reports": []string{"a.xml"}})
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; err != nil || got.Message != "9000 tests passed" || allocated > 50<<20 {
			t.Errorf("got %+v (%v), and it allocated %d MiB", got.Message, err, allocated>>20)
		}
	})
	t.Run("OldOnesDoNotCount", func(t *testing.T) {
		b := newFixture(t)
		b.write(t, "out/old.xml", node)
		b.write(t, "out/rewritten.xml", node)
		b.write(t, "a.xml", passing)
		_, _, err := b.try(t, "test.command", pipe.Args{
			"command": sh("cp a.xml out/rewritten.xml; cp a.xml out/new.xml"), "reports": []string{"out"},
		})
		wantError(t, err, "no report was found") // out is a folder
		got, _, err := b.try(t, "test.command", pipe.Args{
			"command": sh("cp a.xml out/.new; mv out/.new out/rewritten.xml; cp a.xml out/newer.xml"), "reports": []string{"out/*.xml"},
		})
		if err != nil || got.Message != "2 tests passed, 2 skipped" {
			t.Errorf("got %+v (%v)", got, err)
		}
	})
	t.Run("ManyFailures", func(t *testing.T) {
		b := newFixture(t)
		var xml strings.Builder
		for suite := range 3 {
			fmt.Fprintf(&xml, `<testsuite name="s%d">`, suite)
			for n := range 15 {
				fmt.Fprintf(&xml, `<testcase name="t%d"><failure message="%s"/></testcase>`, n, strings.Repeat("x", 1000))
			}
			xml.WriteString(`</testsuite>`)
		}
		b.write(t, "a.xml", "<testsuites>"+xml.String()+"</testsuites>")
		got, _, err := b.try(t, "test.command", pipe.Args{"command": sh("cp a.xml b.xml"), "reports": []string{"b.xml"}})
		wantError(t, err, "45 of 45 tests failed: s0/t0, s0/t1, s0/t2, s0/t3, s0/t4, …")
		var report struct{ Failures []struct{ Message string } }
		if err := json.Unmarshal([]byte(got.Report), &report); err != nil || len(report.Failures) != 20 || len(report.Failures[0].Message) > 510 {
			t.Errorf("got %d failures (%v)", len(report.Failures), err)
		}
	})
	t.Run("RunAgain", func(t *testing.T) {
		const first = `<testcase classname="c" name="a"><failure message="no"/></testcase><testcase classname="c" name="b"/>`
		for name, tt := range map[string]struct{ second, want, warning string }{
			"Passed": {`<testcase classname="c" name="a"/>`, "2 tests passed", "1 test failed at first and passed when run again: c/a"},
			"Failed": {`<testcase classname="c" name="a"><error/></testcase>`, "1 of 2 tests failed: c/a", ""},
			"NotRun": {`<testcase classname="c" name="a"><skipped/></testcase>`, "1 of 2 tests failed: c/a", ""},
			"PassedThenFailed": {
				`<testcase classname="c" name="a"/><testcase classname="c" name="b"><failure/></testcase>`, "1 of 2 tests failed: c/b",
				"1 test failed at first and passed when run again: c/a",
			},
		} {
			t.Run(name, func(t *testing.T) {
				b := newFixture(t)
				b.write(t, "a.xml", "<testsuites><testsuite name='s'>"+first+"</testsuite><testsuite name='s'>"+tt.second+"</testsuite></testsuites>")
				args := pipe.Args{"command": sh("cp a.xml b.xml"), "reports": []string{"b.xml"}}
				_, _, err := b.try(t, "test.command", args)
				wantError(t, err, "tests failed: c/a") // by default every result counts
				args["reruns"] = true
				got, _, err := b.try(t, "test.command", args)
				if err != nil {
					got.Message = err.Error()
				}
				if got.Message != tt.want || strings.Join(got.Warnings, "; ") != tt.warning {
					t.Errorf("got %q and the warnings %q, want %q and %q", got.Message, got.Warnings, tt.want, tt.warning)
				}
			})
		}
	})
	t.Run("Links", func(t *testing.T) {
		b := newFixture(t)
		elsewhere := t.TempDir()
		b.write(t, "source", passing)
		link := "mkdir -p " + elsewhere + "/deep; cp source " + elsewhere + "/deep/test.xml; ln -sfn " + elsewhere + " logs; "
		for name, tt := range map[string]struct{ script, pattern, without, with string }{
			"Folder": {link, "logs/**/*.xml", "logs (a symbolic link to " + elsewhere + ")", "1 test passed, 1 skipped"},
			"Within": {
				link + "mkdir -p all; ln -sfn " + elsewhere + " all/logs", "all/**/*.xml",
				"not looked for behind all/logs (a symbolic link to " + elsewhere + ")", "1 test passed, 1 skipped",
			},
			"Loop":     {link + "ln -sfn . " + elsewhere + "/loop; ln -sfn gone " + elsewhere + "/gone", "logs/**/test.xml", "logs (a symbolic link to", "1 test passed, 1 skipped"},
			"File":     {link + "ln -sfn logs/deep/test.xml t.xml", "t.xml", "t.xml (a symbolic link to logs/deep/test.xml)", "1 test passed, 1 skipped"},
			"Nowhere":  {"ln -sfn nothing t.xml", "t.xml", "t.xml (a symbolic link to nothing)", "t.xml (a symbolic link to nothing)"},
			"NoReport": {"ln -sfn /dev/zero t.xml", "t.xml", "t.xml (a symbolic link to /dev/zero)", "t.xml (a device)"},
		} {
			t.Run(name, func(t *testing.T) {
				b := b
				args := pipe.Args{"command": sh(tt.script), "reports": []string{tt.pattern}}
				_, _, err := b.try(t, "test.command", args)
				wantError(t, err, "no report was found", tt.without)
				args["follow_links"] = true
				args["command"] = sh("rm -rf logs t.xml " + elsewhere + "/*; " + tt.script)
				got, _, err := b.try(t, "test.command", args)
				if err != nil {
					got.Message = err.Error()
				}
				if !strings.Contains(got.Message, tt.with) {
					t.Errorf("got %q (%v), want %q", got.Message, err, tt.with)
				}
			})
		}
	})
	t.Run("HugeReport", func(t *testing.T) {
		b := newFixture(t)
		_, _, err := b.try(t, "test.command", pipe.Args{"command": sh("truncate -s 65M b.xml"), "reports": []string{"*.xml"}})
		wantError(t, err, "b.xml", "larger than 64 MiB")
	})
	t.Run("OutsideOfTheFolder", func(t *testing.T) {
		b := newFixture(t)
		for _, pattern := range []string{"../*.xml", "/tmp/*.xml", "a/../../b.xml", "", "[", "a/[/b"} {
			_, _, err := b.try(t, "test.command", pipe.Args{"command": sh("true"), "reports": []string{pattern}})
			wantError(t, err, "reports: ")
		}
	})
	t.Run("Patterns", func(t *testing.T) {
		b := newFixture(t)
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(b.folder, link); err != nil {
			t.Fatal(err)
		}
		b.folder = link
		b.write(t, "source", passing)
		for pattern, want := range map[string]int{
			"**/*.xml": 4, "a/**": 3, "a/*.xml": 1, "*/b/*.xml": 1, "a/b/c/3.xml": 1, "**/c/**/*.xml": 1, "./a//b/?.xml": 1,
			"{a,b}/*.xml": 0,
		} {
			script := "rm -rf a z.xml; mkdir -p a/b/c; for f in z.xml a/1.xml a/b/2.xml a/b/c/3.xml; do cp source $f; done"
			got, _, err := b.try(t, "test.command", pipe.Args{"command": sh(script), "reports": []string{pattern}})
			if want == 0 {
				wantError(t, err, "no file matches")
			} else if !strings.HasPrefix(got.Message, fmt.Sprint(want, " test")) {
				t.Errorf("%s: got %q (%v), want %d", pattern, got.Message, err, want)
			}
		}
	})
}

func TestContracts(t *testing.T) {
	b := newFixture(t)
	got, _, err := b.try(t, "test.contracts", nil)
	if err != nil || got.Message != "no contracts registered" {
		t.Errorf("got %+v (%v)", got, err)
	}
	b.write(t, "passing.xml", passing)
	b.write(t, "failing.xml", node)
	b.write(t, "contracts/README.md", "x")
	b.write(t, "contracts/basket/contract", "#!/bin/sh\necho \"basket=$STAGE\" >> \"$DELIVERY_OUTPUT\"; cp ../../passing.xml junit.xml\n")
	args := pipe.Args{"reports": []string{"*.xml"}, "env": map[string]string{"STAGE": "test"}}
	got, _, err = b.try(t, "test.contracts", args, "basket")
	if err != nil || got.Message != "1 contract kept, 1 test passed, 1 skipped" || got.Outputs["basket"] != "test" {
		t.Errorf("got %+v (%v)", got, err)
	}
	b.write(t, "contracts/checkout/contract", "#!/bin/sh\ncp ../../failing.xml junit.xml; exit 1\n")
	b.write(t, "contracts/zebra/contract", "#!/bin/sh\nexit 7\n")
	b.write(t, "contracts/absent/readme", "x")
	got, _, err = b.try(t, "test.contracts", args)
	wantError(t, err, "3 of 4 contracts broken: absent: there is no executable contract",
		"; checkout: 1 of 3 tests failed: test/inner (exit code 1); zebra: exit code 7; and no report was found")
	if !strings.Contains(got.Report, `"tests":5`) || !strings.Contains(got.Report, `"suite":"checkout/test"`) {
		t.Errorf("got the report %s", got.Report)
	}
}
