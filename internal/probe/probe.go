// Package probe runs the checks of rollouts: it sends requests, and runs commands.
package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/process"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

const (
	// maxBody is how much of a body is read.
	maxBody = 1 << 20
	// maxTail is how much of the end of a command's output is in its error.
	maxTail = 2048
	// grace is how long a command may take to end when it is interrupted.
	grace = 3 * time.Second
)

// Prober implements rollout.Prober.
type Prober struct{}

var _ rollout.Prober = Prober{}

// Request implements rollout.Prober. It goes to the address in the URL directly, past the
// proxies that the environment names: they would look the host up by themselves. A
// certificate must be that of the host.
func (Prober) Request(ctx context.Context, r rollout.ProbeRequest) (rollout.ProbeAnswer, error) {
	var written atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(info httptrace.WroteRequestInfo) {
		if info.Err == nil {
			written.Store(true)
		}
	}})
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, nil)
	if err != nil {
		return rollout.ProbeAnswer{}, err
	}
	for name, value := range r.Headers {
		req.Header.Set(name, value)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	if r.Host != "" {
		req.Host = r.Host
		transport.TLSClientConfig = &tls.Config{ServerName: withoutPort(r.Host), MinVersion: tls.VersionTLS12}
	}
	// Without a client, redirects are answers.
	resp, err := transport.RoundTrip(req)
	if err != nil {
		err = fmt.Errorf("no answer from %s: %w", req.URL.Host, withoutURL(err))
		if !written.Load() { // nothing took the request
			return rollout.ProbeAnswer{}, &rollout.UnreachableError{Err: err}
		}
		return rollout.ProbeAnswer{}, err
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return rollout.ProbeAnswer{}, fmt.Errorf("an answer with status %d that breaks off: %w", resp.StatusCode, err)
	}
	return rollout.ProbeAnswer{Status: resp.StatusCode, Body: string(body)}, nil
}

// withoutURL leaves out the URL, whose query string may be secret.
func withoutURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

func withoutPort(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}

// Command implements rollout.Prober. When ctx ends, all processes of the command end.
func (Prober) Command(ctx context.Context, args, environ []string) error {
	var out tail
	_, err := process.Run(ctx, process.Command{
		Args: args, Environ: append(os.Environ(), environ...), Stdout: &out, Stderr: &out, Grace: grace,
	})
	if err == nil {
		return nil
	}
	if text := out.String(); text != "" {
		return fmt.Errorf("%w; the end of its output: %s", err, text)
	}
	return err
}

// tail keeps the end of what is written to it.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if len(t.kept) > 2*maxTail {
		t.kept = bytes.Clone(t.kept[len(t.kept)-maxTail:])
	}
	return len(p), nil
}

func (t *tail) String() string {
	kept := t.kept[max(0, len(t.kept)-maxTail):]
	return strings.ToValidUTF8(strings.TrimSpace(string(kept)), "")
}
