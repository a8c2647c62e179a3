package rig

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// Behaviour is the behaviour of a version's servers. The zero value is a good
// server: it answers 200 to everything. All answers have the version and the
// instance id in the headers X-Version and X-Instance.
type Behaviour struct {
	// NeverHealthy makes the server answer 503 to everything, HealthyAfter for that
	// long after its start.
	NeverHealthy bool
	HealthyAfter time.Duration
	// DiesAfter ends it that long after its start: it stops listening, and cuts all
	// connections.
	DiesAfter time.Duration
	// Fails makes it answer 500 to everything but health checks, FailsAbove to
	// requests that arrive while at least so many others are in progress.
	Fails      bool
	FailsAbove int
	// Hangs makes it accept requests, including health checks, and never answer.
	Hangs bool
	// Latency is how long it takes to answer anything but a health check.
	// Options.Speed does not change it.
	Latency time.Duration
}

// checker is the user agent of the load balancer's health checks, as in AWS.
const checker = "ELB-HealthChecker/2.0"

// server is the server on an instance.
type server struct {
	id, version string
	address     string
	behaviour   Behaviour
	started     time.Time
	// working counts the requests in progress, without health checks.
	working atomic.Int64

	http   *http.Server
	cancel context.CancelFunc // ends requests in progress
	ended  chan struct{}
	death  *time.Timer

	// targets is in how many target groups it is registered or draining, and
	// gone whether its instance was terminated. The data plane's lock protects both.
	targets int
	gone    bool
}

func startServer(id, version string, b Behaviour) (*server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the server of %s: %w", id, err)
	}
	s := &server{
		id: id, version: version, address: listener.Addr().String(), behaviour: b, started: time.Now(), ended: make(chan struct{}),
	}
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	s.http = &http.Server{Handler: s, BaseContext: func(net.Listener) context.Context { return ctx }}
	go func() {
		defer close(s.ended)
		_ = s.http.Serve(listener)
	}()
	if b.DiesAfter > 0 {
		s.death = time.AfterFunc(b.DiesAfter, s.die)
	}
	return s, nil
}

// close ends the server at once.
func (s *server) close() {
	if s.death != nil {
		s.death.Stop()
	}
	s.die()
	<-s.ended
}

func (s *server) die() {
	_ = s.http.Close() // requests in progress are meant to fail
	s.cancel()
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b := s.behaviour
	w.Header().Set("X-Version", s.version)
	w.Header().Set("X-Instance", s.id)
	check := strings.HasPrefix(r.UserAgent(), checker)
	before := int64(0)
	if !check {
		before = s.working.Add(1) - 1
		defer s.working.Add(-1)
	}
	if b.Hangs {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	if b.Latency > 0 && !check && !pause(r.Context(), b.Latency) {
		panic(http.ErrAbortHandler)
	}
	switch {
	case b.NeverHealthy || time.Since(s.started) < b.HealthyAfter:
		w.WriteHeader(http.StatusServiceUnavailable)
	case !check && (b.Fails || b.FailsAbove > 0 && before >= int64(b.FailsAbove)):
		w.WriteHeader(http.StatusInternalServerError)
	}
	_, _ = fmt.Fprintf(w, "version %s on %s\n", s.version, s.id)
}

// pause waits for d, and reports false if the context ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
