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
	"strings"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// patience is how long a server has to take a report or message. A host that
// does not answer must not hold a delivery up.
const patience = 30 * time.Second

// patienceForFile is how long a server that gets a file may take nothing of it,
// and how long it has to say that it has got all.
const patienceForFile = 5 * time.Minute

// maxAnswer bounds what is shown of a server's answer.
const maxAnswer = 200

// client follows a redirection only where the same request is made of the same
// host: the others become a GET, which delivers nothing, or hand credentials on.
var client = &http.Client{
	Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dial,
		TLSHandshakeTimeout:   patience,
		ResponseHeaderTimeout: patienceForFile,
		IdleConnTimeout:       patience,
		ForceAttemptHTTP2:     true,
	},
	CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if r.Method != via[0].Method || r.URL.Host != via[0].URL.Host || r.URL.Scheme != via[0].URL.Scheme || len(via) > 5 {
			return http.ErrUseLastResponse
		}
		return nil
	},
}

// dial connects to a server that has to take what it is sent.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return impatient{Conn: conn, within: patienceForFile}, nil
}

// impatient is a connection whose other end has to take something within a time.
type impatient struct {
	net.Conn
	within time.Duration
}

// Write fails if nothing of p is taken in time.
func (c impatient) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(clock.System{}.Now().Add(c.within)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// withPatience bounds a context.
func withPatience(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, patience, fmt.Errorf("no answer within %s", patience))
}

// parseURL reads an address of HTTP. Its errors do not repeat it, for it may be
// a secret.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(text))
	switch {
	case text == "":
		return nil, errors.New("its url is empty")
	case err != nil:
		return nil, errors.New("its url cannot be understood: use https://host/path")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errors.New("its url is not one of HTTP: use https://host/path")
	}
	return u, nil
}

// where is as much of a URL as may be shown.
func where(u *url.URL) string { return u.Scheme + "://" + u.Host }

// post sends a body of JSON.
func post(ctx context.Context, address string, headers map[string]string, body []byte) error {
	u, err := parseURL(address)
	if err != nil {
		return err
	}
	ctx, cancel := withPatience(ctx)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return errors.New("its url cannot be understood: use https://host/path")
	}
	r.Header.Set("Content-Type", "application/json")
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	return send(r)
}

// send makes a request, which has to be answered with success. No error holds
// more of the URL than its host.
func send(r *http.Request) error {
	r.Header.Set("User-Agent", "delivery")
	resp, err := client.Do(r)
	if err != nil {
		if cause := context.Cause(r.Context()); cause != nil {
			err = cause
		}
		var wrapped *url.Error
		for errors.As(err, &wrapped) { // it holds the URL
			err = wrapped.Err
		}
		return fmt.Errorf("%s: %w", where(r.URL), err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	if resp.StatusCode/100 == 2 {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16)) // so that the connection can be used again
		return nil
	}
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16)) // as far as it came
	problem := fmt.Sprintf("%s answered %s", where(r.URL), resp.Status)
	if text := text.Clip(text.Line(withoutURL(string(answer), r.URL)), maxAnswer); text != "" {
		problem += ": " + text
	}
	if resp.StatusCode/100 == 3 {
		problem += "; it redirects to elsewhere, which is not followed: give the final url"
	}
	return errors.New(problem)
}

// withoutURL removes what a server repeats of a URL.
func withoutURL(text string, u *url.URL) string {
	for _, secret := range []string{u.RequestURI(), u.EscapedPath(), u.Path, u.RawQuery} {
		if len(secret) > 1 {
			text = strings.ReplaceAll(text, secret, "…")
		}
	}
	return text
}

// asJSON encodes what is sent. Slack, like people, reads & < > as they are.
func asJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
