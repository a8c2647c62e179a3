package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/catalog"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

// loki is an HTTP server that stands for Loki. It keeps what it is sent.
type loki struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	sent   string
}

// serveLoki starts a server and makes it the log store.
func serveLoki(t *testing.T) *loki {
	t.Helper()
	l := &loki{status: http.StatusNoContent}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.sent += string(body)
		w.WriteHeader(l.status)
		_, _ = io.WriteString(w, strings.Repeat("x", 290)+r.Header.Get("Authorization"))
	}))
	t.Cleanup(l.Close)
	t.Setenv("DELIVERY_LOGS", "loki+"+l.URL)
	t.Setenv("DELIVERY_LOGS_AUTHORIZATION", "Bearer correct-horse-battery")
	return l
}

const logsPipe = `
first:
  - {name: version, do: init.version}
main:
  - {name: build, do: build.command, command: "echo one; echo two"}
  - {name: tests, do: test.command, command: "echo case 1; echo case 2 failed; exit 3"}
`

// What a step printed is in the log store, and another machine, which has only the
// repository, shows where it is and why a step failed.
func TestRun_Logs(t *testing.T) {
	c, store := newCheckout(t, logsPipe), serveLoki(t)
	code, out, stderr := c.delivery(t, "run")
	if code != exitcode.Failed {
		t.Fatalf("got exit code %d: %s", code, stderr)
	}
	contains(t, out, "\nComplete output: ", "tests.log\nAlso stored at:  "+store.URL+"/loki/api/v1/query_range?")
	contains(t, store.sent, `"two",{"run":`, `"case 2 failed",{"run":`)

	if err := os.RemoveAll(filepath.Join(c.state, "delivery")); err != nil {
		t.Fatal(err)
	}
	_, list, _ := c.delivery(t, "run", "list", "-o", "json")
	var runs []catalog.Run
	if err := json.Unmarshal([]byte(list), &runs); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"run", "show", runs[0].Run}, {"version", "show", "1"}, {"event", "list", "--version", "1"}} {
		_, out, _ := c.delivery(t, args...)
		contains(t, out, "\nSTEP ", "build  "+runs[0].Run+"  "+store.URL+"/loki/", "tests  "+runs[0].Run+"  "+store.URL+"/loki/",
			"The end of the output of tests, which failed at ", "\n  case 1\n  case 2 failed\n")
		if strings.Contains(out, "\n  two\n") {
			t.Errorf("%v shows the output of a step that succeeded:\n%s", args, out)
		}
		_, out, _ = c.delivery(t, append(args, "-o", "json")...)
		contains(t, out, `"log_address": "`+store.URL, `case 1\ncase 2 failed"`)
	}
}

// A store that refuses a log is a warning in the step's event, without a secret. The step
// succeeds.
func TestRun_LogRefused(t *testing.T) {
	c, store := newCheckout(t, logsPipe), serveLoki(t)
	store.status = http.StatusForbidden
	code, out, stderr := c.delivery(t, "run", "--run-to", "build")
	if code != 0 {
		t.Fatalf("got exit code %d: %s", code, stderr)
	}
	_, events, _ := c.delivery(t, "event", "list", "--version", "1")
	contains(t, events, "warning: the log could not be sent: "+store.URL+": the server answered 403 Forbidden: xxx")
	contains(t, stderr, "the log could not be sent: "+store.URL)
	for _, shown := range []string{out, stderr, events} {
		if strings.Contains(shown, "corre") {
			t.Errorf("a secret is shown in part: %s", shown)
		}
	}
}

// An invalid address is refused before anything runs.
func TestRun_InvalidLogAddress(t *testing.T) {
	c := newCheckout(t, logsPipe)
	t.Setenv("DELIVERY_LOGS", "https://logs.example.com")
	code, out, stderr := c.delivery(t, "run")
	if code != exitcode.Usage || out != "" {
		t.Errorf("got exit code %d and %q, want %d", code, out, exitcode.Usage)
	}
	contains(t, stderr, `invalid address of a log store "https://logs.example.com"`, "(from DELIVERY_LOGS)", "expected s3://BUCKET/PREFIX")
}

// The logs of a run are in S3 or in CloudWatch Logs, as the environment says, with the
// credentials and the region of the other tasks.
func TestAccRun_Logs(t *testing.T) {
	account := rig.NewAccount(t)
	bucket, group := "logs-"+account.ID, "delivery"
	objects := s3.NewFromConfig(account.Config("us-east-1"), func(o *s3.Options) { o.UsePathStyle = true })
	streams := cloudwatchlogs.NewFromConfig(account.Config("us-east-1"))
	if _, err := objects.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	if _, err := streams.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &group}); err != nil {
		t.Fatal(err)
	}
	c := newCheckout(t, logsPipe)
	for _, variable := range account.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}

	t.Setenv("DELIVERY_LOGS", "s3://"+bucket)
	s := c.run(t, exitcode.Failed, "--region", "us-east-1")
	key := "strawberry/" + s.Run + "/tests.log"
	if got := s.Failed().LogAddress; got != "s3://"+bucket+"/"+key {
		t.Errorf("got the address %q", got)
	}
	out, err := objects.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(out.Body); err != nil || !strings.HasSuffix(string(got), "\ncase 1\ncase 2 failed\n") {
		t.Errorf("got %q and %v", got, err)
	}

	t.Setenv("DELIVERY_LOGS", "cloudwatch://"+group+"?region=us-east-1")
	s = c.run(t, exitcode.Failed)
	stream := "strawberry/" + s.Run + "/tests.log"
	if got := s.Failed().LogAddress; got != "cloudwatch://delivery?region=us-east-1&stream="+stream {
		t.Errorf("got the address %q", got)
	}
	events, err := streams.GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{LogGroupName: &group, LogStreamName: &stream})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(events.Events); n != 3 || *events.Events[2].Message != "case 2 failed" {
		t.Errorf("got %d lines, want 3", n)
	}
}
