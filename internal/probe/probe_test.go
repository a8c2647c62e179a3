package probe_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/probe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

func serve(t *testing.T, handle http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handle)
	t.Cleanup(s.Close)
	return s.URL
}

func TestRequest(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1") // nothing listens there
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusFound)
		_, _ = fmt.Fprintf(w, "%s %s %s %s", r.Method, r.Host, r.URL, r.Header.Get("X-Preview"))
	})
	got, err := probe.Prober{}.Request(t.Context(), rollout.ProbeRequest{
		URL: url + "/buy?n=1", Host: "web.example.com", Method: "POST", Headers: map[string]string{"X-Preview": "sesame"},
	})
	if want := (rollout.ProbeAnswer{Status: 302, Body: "POST web.example.com /buy?n=1 sesame"}); err != nil || got != want {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
}

// A load balancer that cannot be reached says nothing about the version. One that takes the
// request and does not answer does.
func TestRequest_Unreachable(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	hangs := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	breaks := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for name, tt := range map[string]struct {
		url         string
		unreachable bool
	}{
		"Refused": {"http://" + closed.Addr().String() + "/", true},
		"NoHost":  {"http://not-there.invalid/", true},
		"NoTLS":   {strings.Replace(hangs, "http:", "https:", 1), true},
		"Hangs":   {hangs, false},
		"Breaks":  {breaks, false},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			_, err := probe.Prober{}.Request(ctx, rollout.ProbeRequest{URL: tt.url + "?secret=1", Method: "GET"})
			if err == nil || errors.As(err, new(*rollout.UnreachableError)) != tt.unreachable {
				t.Errorf("got %v, want it unreachable: %t", err, tt.unreachable)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows the query string: %v", err)
			}
		})
	}
}

// The host's name is asked for and verified, whatever the address is.
func TestRequest_TLS(t *testing.T) {
	var name string
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		name = hello.ServerName
		return nil, nil
	}}
	s.StartTLS()
	defer s.Close()
	_, err := probe.Prober{}.Request(t.Context(), rollout.ProbeRequest{URL: s.URL, Host: "web.example.com:443", Method: "GET"})
	if err == nil || !strings.Contains(err.Error(), "certificate") || name != "web.example.com" {
		t.Errorf("got %v for the name %q, want the certificate refused", err, name)
	}
}

func TestCommand(t *testing.T) {
	run := func(ctx context.Context, script string) error {
		return probe.Prober{}.Command(ctx, []string{"sh", "-c", script}, []string{"DELIVERY_CHECK_VERSION=7"})
	}
	if err := run(t.Context(), `test "$DELIVERY_CHECK_VERSION" = 7`); err != nil {
		t.Error(err)
	}
	err := run(t.Context(), `i=0; while [ $i -lt 2000 ]; do echo "line $i"; i=$((i+1)); done; echo the end >&2; exit 3`)
	if err == nil || !strings.Contains(err.Error(), "exit code 3") || !strings.HasSuffix(err.Error(), "the end") || len(err.Error()) > 3000 {
		t.Errorf("got %v", err)
	}
	if err := (probe.Prober{}).Command(t.Context(), []string{"not-there"}, nil); err == nil || !strings.Contains(err.Error(), "not-there") {
		t.Errorf("got %v", err)
	}
}

// When a check is ended, so are the processes that it started.
func TestCommand_Ended(t *testing.T) {
	file := filepath.Join(t.TempDir(), "alive")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := probe.Prober{}.Command(ctx, []string{"sh", "-c", `(while :; do date +%N >"$0"; sleep 0.05; done) & wait`, file}, nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := (clock.System{}).Sleep(t.Context(), 200*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
		t.Errorf("a process that the command started still runs: %q, then %q (%v)", before, after, err)
	}
}
