package logstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// httpStore sends logs in batches by HTTP POST.
type httpStore struct {
	protocol
	url    *url.URL
	header http.Header
}

// protocol is what the servers of one kind understand.
type protocol interface {
	// encode returns the body of a request with the lines of a log, of which first is the
	// number of the first, counted from 0.
	encode(l pipe.Log, first int, lines []string) ([]byte, error)
	// check returns an error for an answer that does not confirm all the lines; stored says
	// whether it confirms some of them. Quote prepares a part of the answer for the error.
	check(status int, answer []byte, lines int, quote func(string) string) (stored bool, err error)
	// address returns the URL by which the lines of a log are found.
	address(l pipe.Log, lines int) string
}

func newHTTPStore(p protocol, to *url.URL, contentType, authorization string) *httpStore {
	header := http.Header{"Content-Type": {contentType}, "User-Agent": {"delivery"}}
	if authorization != "" {
		header.Set("Authorization", authorization)
	}
	return &httpStore{protocol: p, url: to, header: header}
}

// Send implements pipe.LogStore.
func (s *httpStore) Send(ctx context.Context, l pipe.Log) (address string, err error) {
	sent := 0
	for lines, err := range l.Batches() {
		var stored bool
		if err == nil {
			stored, err = s.post(ctx, l, sent, lines)
		}
		if stored {
			sent += len(lines)
			address = s.address(l, sent)
		}
		if err != nil {
			return address, err
		}
	}
	return address, nil
}

// client does not follow redirects: most become a GET, which stores nothing.
var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// The limits of an answer, and of what an error quotes of it, in bytes.
const (
	maxAnswer = 16 << 20
	maxQuote  = 300
)

// post sends one batch.
func (s *httpStore) post(ctx context.Context, l pipe.Log, first int, lines []string) (stored bool, err error) {
	body, err := s.encode(l, first, lines)
	if err != nil {
		return false, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url.String(), bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	r.Header = s.header.Clone()
	origin := s.url.Scheme + "://" + s.url.Host
	resp, err := client.Do(r)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) { // it repeats the URL
			err = wrapped.Err
		}
		return false, fmt.Errorf("%s: %w", origin, err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return false, fmt.Errorf("%s: read the answer: %w", origin, err)
	}
	quote := func(part string) string { return text.Clip(text.Line(l.Mask(part)), maxQuote) }
	if stored, err = s.check(resp.StatusCode, answer, len(lines), quote); err != nil {
		return stored, fmt.Errorf("%s: %w", origin, err)
	}
	return stored, nil
}

// refused returns an error for an answer whose status is not that of success.
func refused(status int, answer string) error {
	problem := strings.TrimSpace(fmt.Sprintf("the server answered %d %s", status, http.StatusText(status)))
	if answer != "" {
		problem += ": " + answer
	}
	if status/100 == 3 {
		problem += "; redirects are not followed: use the final address"
	}
	return errors.New(problem)
}
