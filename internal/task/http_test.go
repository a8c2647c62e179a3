package task_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// failed is a run that has failed, in its section last.
func failed() pipe.Summary {
	return pipe.Summary{
		Run: "01RUN", Pipe: "application", Service: "strawberry", Version: "17", Revision: "abc123",
		Status: builddata.Failed, FailedStep: "functional tests", StartedAt: noon, Elapsed: 200*time.Second + 4*time.Millisecond,
		Steps: []pipe.StepSummary{
			{Name: "build", Task: "build.command", Section: pipe.Main, Status: builddata.Succeeded, Elapsed: 61 * time.Second},
			{Name: "left out", Task: "mock.dummy", Section: pipe.Main, Status: pipe.Skipped},
			{
				Name: "functional tests", Task: "test.command", Section: pipe.Main, Status: builddata.Failed,
				Message: "exit code 1 <&>", Tail: "expected <1>\n```\ngot 2", Elapsed: 1500 * time.Millisecond,
			},
			{Name: "notify", Task: "notify.slack", Section: pipe.Last, Status: builddata.Started},
		},
	}
}

func succeeded() pipe.Summary {
	s := failed()
	s.Status, s.FailedStep, s.Steps = builddata.Succeeded, "", s.Steps[:2]
	return s
}

// received is a request to a server.
type received struct {
	method, path, body string
	header             http.Header
}

// server records its requests, and answers as the test says.
type server struct {
	*httptest.Server
	mu  sync.Mutex
	got []received
}

func serve(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		s.got = append(s.got, received{r.Method, r.URL.RequestURI(), string(body), r.Header})
		s.mu.Unlock()
		if answer != nil {
			answer(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// taken returns the recorded requests, and clears the record.
func (s *server) taken() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = nil
	return got
}

func TestSlack(t *testing.T) {
	s := serve(t, nil)
	args := pipe.Args{"url": s.URL + "/services/T0/B0/secret"}
	although, late := succeeded(), succeeded()
	although.Message = "although style failed"
	late.Status, late.Message = builddata.Failed, "the pipe timed out after 3m0s"
	for _, tt := range []struct {
		name string
		run  pipe.Summary
		text string
		want string
	}{
		{"Succeeded", succeeded(), "", `{"text":"strawberry 17: application succeeded in 3m20s"}`},
		{"AllowedFailure", although, "", `{"text":"strawberry 17: application succeeded in 3m20s, although style failed"}`},
		{"PipeTimedOut", late, "", `{"text":"strawberry 17: application failed: the pipe timed out after 3m0s"}`},
		{"Failed", failed(), "", `{"text":"strawberry 17: application failed at functional tests: exit code 1 &lt;&amp;&gt;",` +
			`"attachments":[{"color":"danger","fallback":"the end of the output of functional tests","text":"` +
			"```expected &lt;1&gt;\\n'''\\ngot 2```" + `","mrkdwn_in":["text"]}]}`},
		{"GivenText", succeeded(), "<!here> *shipped* with hunter22", `{"text":"<!here> *shipped* with ***"}`},
		{"TooLong", succeeded(), strings.Repeat("x", 50_000), `{"text":"` + strings.Repeat("x", 40_000-3) + `…"}`},
		{"Running", pipe.Summary{Service: "strawberry", Pipe: "ci", Status: builddata.Started, Elapsed: time.Minute}, "",
			`{"text":"strawberry: ci has been running for 1m0s"}`},
		{"Interrupted", pipe.Summary{Service: "strawberry", Pipe: "ci", Status: builddata.Interrupted}, "",
			`{"text":"strawberry: ci was interrupted"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newFixture(t)
			b.run = tt.run
			given := maps.Clone(args)
			if tt.text != "" {
				given["text"] = tt.text
			}
			got, out, err := b.try(t, "notify.slack", given)
			if err != nil || len(got.Warnings) > 0 || strings.Contains(out, "secret") {
				t.Errorf("got %+v (%v), and it printed %q", got, err, out)
			}
			requests := s.taken()
			if len(requests) != 1 || requests[0].path != "/services/T0/B0/secret" ||
				requests[0].header.Get("Content-Type") != "application/json" {
				t.Fatalf("got the requests %+v", requests)
			}
			if diff := cmp.Diff(requests[0].body, tt.want); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A server that asks to be asked again later gets the message then, unless that is too late.
func TestReport_RetryAfter(t *testing.T) {
	for name, tt := range map[string]struct {
		header string
		busy   int
		waited time.Duration
		fails  bool
	}{
		"Seconds":   {"2", 2, 4 * time.Second, false},
		"Date":      {noon.Add(7 * time.Second).Format(http.TimeFormat), 1, 7 * time.Second, false},
		"TooLong":   {"3600", 1, 0, true},
		"TooOften":  {"20", 9, time.Minute, true},
		"NoHeader":  {"", 1, 0, true},
		"Malformed": {"soon", 1, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if n++; n <= tt.busy {
					if tt.header != "" {
						w.Header().Set("Retry-After", tt.header)
					}
					w.WriteHeader(http.StatusTooManyRequests)
				}
			})
			b := newFixture(t)
			got, _, err := b.try(t, "notify.slack", pipe.Args{"url": s.URL})
			if waited := b.Clock.Now().Sub(noon); waited != tt.waited || (err != nil) != tt.fails {
				t.Errorf("got %+v and %v after %s, want to wait for %s", got, err, waited, tt.waited)
			}
			if err != nil {
				wantError(t, err, "429 Too Many Requests")
			}
		})
	}
}

func TestWebhookAndLog(t *testing.T) {
	s := serve(t, nil)
	b := newFixture(t)
	b.run = failed()
	headers := map[string]string{"Authorization": "Bearer t", "Content-Type": "application/vnd.run+json"}
	args := pipe.Args{"url": s.URL + "/x?token=1", "headers": headers}
	if _, _, err := b.try(t, "notify.webhook", args); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.try(t, "report.log", args); err != nil {
		t.Fatal(err)
	}
	args["body"] = "plain"
	if _, _, err := b.try(t, "notify.webhook", args); err != nil {
		t.Fatal(err)
	}
	requests := s.taken()
	for _, r := range requests {
		if r.method != "POST" || r.path != "/x?token=1" ||
			r.header.Get("Authorization") != "Bearer t" || r.header.Get("Content-Type") != "application/vnd.run+json" {
			t.Errorf("got the request %+v", r)
		}
	}
	var run pipe.Summary
	if err := json.Unmarshal([]byte(requests[0].body), &run); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(run, failed()); diff != "" {
		t.Error(diff)
	}
	var document map[string]any
	err := json.Unmarshal([]byte(requests[1].body), &document)
	if err != nil || document["@timestamp"] != "2026-11-01T12:00:00Z" || document["service"] != "strawberry" {
		t.Errorf("got %v (%v)", document, err)
	}
	if requests[2].body != "plain" {
		t.Errorf("got %q", requests[2].body)
	}
}

// Errors of a notification or report never contain the URL, which may be a secret.
func TestReport_Errors(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	elsewhere := serve(t, nil)
	for _, tt := range []struct {
		name   string
		answer func(w http.ResponseWriter, r *http.Request)
		url    string
		says   string
	}{
		{"Refused", func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "no_service at "+r.URL.String()+" "+strings.Repeat("x", 1000), http.StatusForbidden)
		}, "", "answered 403 Forbidden: no_service at … xxx"},
		{"Broken", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "", "EOF"},
		{"RedirectedToAPage", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/login/s3cr3t", http.StatusFound)
		}, "", "answered 302 Found"},
		{"RedirectedToAnotherHost", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/s3cr3t", http.StatusTemporaryRedirect)
		}, "", "answered 307 Temporary Redirect"},
		{"ConnectionRefused", nil, closed.URL + "/s3cr3t?s3cr3t", "connection refused"},
		{"NoSuchHost", nil, "https://nowhere.invalid/s3cr3t", "https://nowhere.invalid: "},
		{"NoURL", nil, "s3cr3t", "invalid url"},
		{"BadURL", nil, "http://%zz/s3cr3t", "invalid url"},
		{"ControlCharacter", nil, "http://host/s3cr3t\x01", "invalid url"},
		{"EmptyURL", nil, "", "url is empty"},
	} {
		for _, task := range []string{"notify.slack", "notify.webhook", "report.log"} {
			t.Run(tt.name+"/"+task, func(t *testing.T) {
				b := newFixture(t)
				url := tt.url
				if tt.answer != nil {
					url = serve(t, tt.answer).URL + "/s3cr3t/path?s3cr3t=1"
				}
				_, out, err := b.try(t, task, pipe.Args{"url": url})
				wantError(t, err, tt.says)
				if strings.Contains(out+err.Error(), "s3cr3t") || len(err.Error()) > 500 {
					t.Errorf("the output contains the secret: %s %v", out, err)
				}
				if !b.definition(t, task).BestEffort {
					t.Error("the task is not best effort")
				}
			})
		}
	}
	if got := elsewhere.taken(); len(got) > 0 {
		t.Errorf("the redirect was followed to another host: %+v", got)
	}
	t.Run("Interrupted", func(t *testing.T) {
		ctx, stop := context.WithCancelCause(t.Context())
		s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			stop(errors.New("Ctrl-C"))
			<-r.Context().Done()
		})
		_, err := newFixture(t).do(t, ctx, "notify.slack", newFixture(t).call(pipe.Args{"url": s.URL}))
		wantError(t, err, "Ctrl-C")
	})
}

func TestPublish(t *testing.T) {
	accounts := func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "ci" || password != "s3cr3t" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
		}
	}
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/moved/") {
			http.Redirect(w, r, "/repository"+strings.TrimPrefix(r.URL.Path, "/moved"), http.StatusTemporaryRedirect)
			return
		}
		accounts(w, r)
	})
	b := newFixture(t)
	b.write(t, "dist/a.jar", "jar")
	b.write(t, "dist/sub/100% #1?.txt", "")
	args := pipe.Args{
		"files": []string{"dist/**"}, "url": s.URL + "/repository/strawberry/17/?x=y", "username": "ci", "password": "s3cr3t",
	}
	got, out, err := b.try(t, "release.publish", args)
	if err != nil || got.Message != "published 2 files at "+s.URL || strings.Contains(out, "s3cr3t") {
		t.Errorf("got %+v (%v)", got, err)
	}
	requests := s.taken()
	var paths []string
	for _, r := range requests {
		paths = append(paths, r.method+" "+r.path+" "+r.header.Get("Content-Length")+" "+r.body)
	}
	want := []string{
		"PUT /repository/strawberry/17/dist/a.jar?x=y 3 jar",
		"PUT /repository/strawberry/17/dist/sub/100%25%20%231%3F.txt?x=y 0 ",
	}
	if diff := cmp.Diff(paths, want); diff != "" {
		t.Error(diff)
	}

	args["url"] = s.URL + "/moved/strawberry"
	args["files"] = []string{"dist/*.jar"}
	if _, _, err = b.try(t, "release.publish", args); err != nil {
		t.Error(err)
	}
	if requests := s.taken(); len(requests) != 2 || requests[1].body != "jar" {
		t.Errorf("got the requests %+v", requests)
	}
	args["password"] = "wrong-s3cr3t"
	_, out, err = b.try(t, "release.publish", args)
	wantError(t, err, "dist/a.jar was not published", "401 Unauthorized: who are you?", "0 of 1 file were published before it")
	if strings.Contains(out+err.Error(), "s3cr3t") {
		t.Errorf("the output contains the secret: %s %v", out, err)
	}
	args["files"] = []string{"none/*"}
	_, _, err = b.try(t, "release.publish", args)
	wantError(t, err, "nothing was published: no file matches none/*")
	args["files"] = []string{"../*"}
	_, _, err = b.try(t, "release.publish", args)
	wantError(t, err, "inside of the folder")
	args["files"], args["url"] = []string{"dist/*.jar"}, "ftp://host/x"
	_, _, err = b.try(t, "release.publish", args)
	wantError(t, err, "nothing was published", "invalid url")
}

func TestMetrics_StatsD(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	next := func() string {
		buffer := make([]byte, 1<<16)
		n, _, err := conn.ReadFrom(buffer)
		if err != nil {
			t.Fatal(err)
		}
		return string(buffer[:n])
	}
	b := newFixture(t)
	b.run = failed()
	got, _, err := b.try(t, "report.metrics", pipe.Args{"address": conn.LocalAddr().String()})
	if err != nil || len(got.Warnings) > 0 || !strings.HasPrefix(got.Message, "sent 6 metrics to ") {
		t.Errorf("got %+v (%v)", got, err)
	}
	want := strings.Join([]string{
		"delivery.strawberry.application.step.build.duration:61000|ms", "delivery.strawberry.application.step.build.succeeded:1|c",
		"delivery.strawberry.application.step.functional_tests.duration:1500|ms",
		"delivery.strawberry.application.step.functional_tests.failed:1|c",
		"delivery.strawberry.application.duration:200004|ms", "delivery.strawberry.application.failed:1|c",
	}, "\n")
	if diff := cmp.Diff(next(), want); diff != "" {
		t.Error(diff)
	}

	// Many go in several datagrams, each small enough to pass anywhere.
	b.run = pipe.Summary{Service: "straw.berry", Pipe: "a:b|c", Status: builddata.Started}
	for range 100 {
		b.run.Steps = append(b.run.Steps, pipe.StepSummary{Name: "ünit\n tests: #1", Status: builddata.Succeeded})
	}
	if _, _, err := b.try(t, "report.metrics", pipe.Args{"address": conn.LocalAddr().String(), "prefix": ".ci.x y."}); err != nil {
		t.Fatal(err)
	}
	lines := 0
	for lines < 200 {
		packet := next()
		if len(packet) > 1432 {
			t.Errorf("a datagram has %d bytes", len(packet))
		}
		for line := range strings.SplitSeq(packet, "\n") {
			lines++
			name, metric, _ := strings.Cut(line, "nit_tests_1.")
			if name != "ci.x_y.straw_berry.a_b_c.step." || metric != "duration:0|ms" && metric != "succeeded:1|c" {
				t.Fatalf("got %q", line)
			}
		}
	}
}

func TestMetrics_Graphite(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	read := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		data, _ := io.ReadAll(conn)
		_ = conn.Close()
		read <- string(data)
	}()
	b := newFixture(t)
	b.run = succeeded()
	args := pipe.Args{"address": listener.Addr().String(), "protocol": "graphite"}
	if got, _, err := b.try(t, "report.metrics", args); err != nil || len(got.Warnings) > 0 {
		t.Errorf("got %+v (%v)", got, err)
	}
	want := "delivery.strawberry.application.step.build.duration 61000 1793534400\n" +
		"delivery.strawberry.application.step.build.succeeded 1 1793534400\n" +
		"delivery.strawberry.application.duration 200004 1793534400\ndelivery.strawberry.application.succeeded 1 1793534400\n"
	if diff := cmp.Diff(<-read, want); diff != "" {
		t.Error(diff)
	}

	_ = listener.Close()
	_, _, err = b.try(t, "report.metrics", args)
	wantError(t, err, "not delivered", "refused")
	_, _, err = b.try(t, "report.metrics", pipe.Args{"address": "host"})
	wantError(t, err, "is not a valid address: expected host:port")
}
