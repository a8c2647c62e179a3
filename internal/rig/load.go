package rig

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"sync"
	"time"
)

// Load sends requests at a fixed rate: a slow answer does not delay the next request.
// Its fields are set before Run.
type Load struct {
	// URL is what it asks for, at the host that Host names, if set.
	URL  string
	Host string
	// Rate is how many requests it sends a second, at least 1.
	Rate int
	// Clients take turns in sending; 0 is 32. There are as many connections,
	// which are kept, and more, up to maxConnections, while answers are slow.
	Clients int
	// Cookies lets each client keep its cookies, and so stick to a server if the load
	// balancer uses stickiness.
	Cookies bool
	// Timeout is when a request has failed that is not answered; 0 is 5s.
	Timeout time.Duration

	mu     sync.Mutex
	report Report
}

// Report is the result of a load's requests.
type Report struct {
	// Sent counts requests, also those that are not answered yet, and Failed
	// those without an answer and with one of 500 and above.
	Sent, Failed int
	// ByVersion counts the answers of servers, also failures, by the server's
	// version. ByStatus counts all requests that ended; those without an answer
	// are at 0.
	ByVersion map[string]int
	ByStatus  map[int]int
	// FirstFailure and LastFailure are when the requests were sent.
	FirstFailure, LastFailure time.Time
	// Errors describes the first failures.
	Errors []string
	// MaxLatency is the longest that an answer took.
	MaxLatency time.Duration
}

const (
	maxConnections = 1000
	maxErrors      = 5 // in a report
)

// Run sends requests until the context ends, waits for their answers, and
// reports.
func (l *Load) Run(ctx context.Context) Report {
	timeout := l.Timeout
	if timeout == 0 {
		timeout = 5 * time.Second
	}
	count := l.Clients
	if count == 0 {
		count = 32
	}
	transport := &http.Transport{MaxIdleConnsPerHost: count, MaxConnsPerHost: maxConnections, DisableCompression: true}
	defer transport.CloseIdleConnections()
	clients := make([]*http.Client, count)
	for i := range clients {
		clients[i] = &http.Client{
			Transport: transport, Timeout: timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		if l.Cookies {
			jar, err := cookiejar.New(nil)
			if err != nil {
				panic(err) // it never returns one
			}
			clients[i].Jar = jar
		}
	}
	var under sync.WaitGroup
	begin := time.Now()
	for i := 0; ; i++ {
		// By the clock and not by a ticker, which leaves ticks out if it is late.
		due := begin.Add(time.Duration(i) * time.Second / time.Duration(l.Rate))
		if wait := time.Until(due); wait > 0 && !pause(ctx, wait) || ctx.Err() != nil {
			break
		}
		under.Go(func() { l.send(clients[i%count]) })
	}
	under.Wait()
	return l.Snapshot()
}

// Snapshot is the report so far.
func (l *Load) Snapshot() Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.report
	r.ByVersion, r.ByStatus, r.Errors = maps.Clone(r.ByVersion), maps.Clone(r.ByStatus), slices.Clone(r.Errors)
	return r
}

// send sends one request. The end of Run does not end it.
func (l *Load) send(client *http.Client) {
	sent := time.Now()
	l.mu.Lock()
	l.report.Sent++
	l.mu.Unlock()
	status, version, text, err := l.ask(client)
	latency := time.Since(sent)

	l.mu.Lock()
	defer l.mu.Unlock()
	r := &l.report
	if r.ByStatus == nil {
		r.ByStatus, r.ByVersion = map[int]int{}, map[string]int{}
	}
	r.ByStatus[status]++
	if version != "" {
		r.ByVersion[version]++
	}
	r.MaxLatency = max(r.MaxLatency, latency)
	if err == nil && status < http.StatusInternalServerError {
		return
	}
	r.Failed++
	if r.FirstFailure.IsZero() || sent.Before(r.FirstFailure) {
		r.FirstFailure = sent
	}
	if sent.After(r.LastFailure) {
		r.LastFailure = sent
	}
	if len(r.Errors) < maxErrors {
		if err == nil {
			err = fmt.Errorf("%d: %s", status, text)
		}
		r.Errors = append(r.Errors, err.Error())
	}
}

func (l *Load) ask(client *http.Client) (status int, version, text string, err error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, l.URL, nil)
	if err != nil {
		return 0, "", "", err
	}
	req.Host = l.Host
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", "", err
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, "", "", err
	}
	return resp.StatusCode, resp.Header.Get("X-Version"), string(body), nil
}
