package task

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// answerTimeout is how long a server may take to accept a report or message. A
// host that does not answer must not delay a delivery.
const answerTimeout = 30 * time.Second

// fileTimeout is how long a server may take to read the next part of a file, and
// to answer once it has all of it.
const fileTimeout = 5 * time.Minute

// maxAnswer limits how much of a server's answer is shown.
const maxAnswer = 200

// client follows a redirect only if it repeats the same request to the same host:
// others become a GET, which delivers nothing, or pass credentials on.
var client = &http.Client{
	Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dial,
		TLSHandshakeTimeout:   answerTimeout,
		ResponseHeaderTimeout: fileTimeout,
		IdleConnTimeout:       answerTimeout,
		ForceAttemptHTTP2:     true,
	},
	CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if r.Method != via[0].Method || r.URL.Host != via[0].URL.Host || r.URL.Scheme != via[0].URL.Scheme || len(via) > 5 {
			return http.ErrUseLastResponse
		}
		return nil
	},
}

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: answerTimeout}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return deadlineConn{Conn: conn, timeout: fileTimeout}, nil
}

// deadlineConn is a connection with a timeout for each write.
type deadlineConn struct {
	net.Conn
	timeout time.Duration
}

// Write fails if p cannot be written in time.
func (c deadlineConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(clock.System{}.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// withTimeout limits a context to answerTimeout.
func withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, answerTimeout, fmt.Errorf("no answer within %s", answerTimeout))
}

// errInvalidURL does not contain the URL, which may be a secret.
var errInvalidURL = errors.New("invalid url: expected https://host/path")

func parseURL(address string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(address))
	switch {
	case address == "":
		return nil, errors.New("url is empty")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errInvalidURL
	}
	return u, nil
}

// origin is the part of a URL that may be shown.
func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

// maxRetryAfter is how long a message waits in all for a server that has too much to do.
const maxRetryAfter = time.Minute

// post sends JSON. A server that asks to be asked again later (429 or 503 with Retry-After)
// is, for maxRetryAfter. An error quotes only what the mask of the call lets through.
func (r *Registry) post(ctx context.Context, c *pipe.Call, headers map[string]string, body []byte) error {
	u, err := parseURL(c.Args.Text("url"))
	if err != nil {
		return err
	}
	for start := r.Clock.Now(); ; {
		err := postOnce(ctx, c.Mask, u, headers, body)
		var busy *busyError
		if !errors.As(err, &busy) {
			return err
		}
		now := r.Clock.Now()
		wait := busy.wait(now)
		if wait <= 0 || now.Add(wait).Sub(start) > maxRetryAfter {
			return err
		}
		printf(c, "%v; sending it again in %s", err, wait)
		if r.Clock.Sleep(ctx, wait) != nil {
			return context.Cause(ctx)
		}
	}
}

func postOnce(ctx context.Context, mask func(string) string, u *url.URL, headers map[string]string, body []byte) error {
	ctx, cancel := withTimeout(ctx)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return errInvalidURL
	}
	r.Header.Set("Content-Type", "application/json")
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	return send(r, mask)
}

// busyError says that a server has too much to do.
type busyError struct {
	error
	// retryAfter is the header of that name: seconds, or a date (RFC 9110, 10.2.3).
	retryAfter string
}

// wait returns when to ask again; 0 if the server does not say.
func (e *busyError) wait(now time.Time) time.Duration {
	seconds, err := strconv.ParseFloat(strings.TrimSpace(e.retryAfter), 64)
	if err == nil && seconds >= 0 && seconds < maxRetryAfter.Seconds() {
		return max(time.Duration(seconds*float64(time.Second)), time.Millisecond)
	}
	at, err := http.ParseTime(e.retryAfter)
	if err != nil {
		return 0
	}
	return max(at.Sub(now), time.Millisecond)
}

// send sends a request. Any status but 2xx is an error. No error contains more of
// the URL than its origin, nor of the answer what mask does not let through.
func send(r *http.Request, mask func(string) string) error {
	r.Header.Set("User-Agent", "delivery")
	resp, err := client.Do(r)
	if err != nil {
		if cause := context.Cause(r.Context()); cause != nil {
			err = cause
		}
		var wrapped *url.Error
		for errors.As(err, &wrapped) { // it contains the URL
			err = wrapped.Err
		}
		return fmt.Errorf("%s: %w", origin(r.URL), err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	if resp.StatusCode/100 == 2 {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16)) // so that the connection can be reused
		return nil
	}
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16)) // as much as arrived
	problem := fmt.Sprintf("%s answered %s", origin(r.URL), resp.Status)
	if body := text.Clip(text.Line(mask(withoutURL(string(answer), r.URL))), maxAnswer); body != "" {
		problem += ": " + body
	}
	if resp.StatusCode/100 == 3 {
		problem += "; redirects to other hosts are not followed: use the final url"
	}
	if retryAfter := resp.Header.Get("Retry-After"); retryAfter != "" &&
		(resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable) {
		return &busyError{errors.New(problem), retryAfter}
	}
	return errors.New(problem)
}

// withoutURL removes the parts of a URL from a server's answer.
func withoutURL(answer string, u *url.URL) string {
	for _, secret := range []string{u.RequestURI(), u.EscapedPath(), u.Path, u.RawQuery} {
		if len(secret) > 1 {
			answer = strings.ReplaceAll(answer, secret, "…")
		}
	}
	return answer
}

// asJSON encodes a body without escaping & < >, which Slack would show escaped.
func asJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
