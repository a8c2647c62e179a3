package rig_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

func TestLoad_CountsFailures(t *testing.T) {
	s := newFixture(t, rig.Options{Behave: behaviours(map[string]rig.Behaviour{
		"bad":    {Fails: true},
		"narrow": {FailsAbove: 4, Latency: 50 * time.Millisecond},
	})})
	good, bad, narrow := s.generation("good", 2, nil), s.generation("bad", 2, nil), s.generation("narrow", 1, nil)
	s.serve(map[string]int32{good: 1, bad: 0, narrow: 0}, 0)
	for _, arn := range []string{good, bad, narrow} {
		s.await(arn, types.TargetHealthStateEnumHealthy)
	}
	if r := s.load(200, 300*time.Millisecond); r.Failed > 0 || r.Sent < 40 || r.ByStatus[http.StatusOK] != r.Sent ||
		len(r.Errors) > 0 || !r.FirstFailure.IsZero() {
		t.Errorf("a good version: %+v", r)
	}
	begin := time.Now()
	s.serve(map[string]int32{good: 1, bad: 1, narrow: 0}, 0)
	r := s.load(200, 300*time.Millisecond)
	if r.Failed == 0 || r.Failed != r.ByVersion["bad"] || r.Failed != r.ByStatus[http.StatusInternalServerError] ||
		r.ByVersion["good"]+r.Failed != r.Sent ||
		len(r.Errors) == 0 || r.FirstFailure.Before(begin) || r.LastFailure.Before(r.FirstFailure) {
		t.Errorf("a bad version: %+v", r)
	}
	s.serve(map[string]int32{good: 0, bad: 0, narrow: 1}, 0)
	if r := s.load(20, 300*time.Millisecond); r.Failed > 0 {
		t.Errorf("1 request at a time: %+v", r)
	}
	if r := s.load(400, 300*time.Millisecond); r.Failed == 0 || r.Failed == r.Sent || r.MaxLatency < 50*time.Millisecond {
		t.Errorf("20 requests at a time: %+v", r)
	}
}

func TestLoad_SlowAnswersDoNotSlowIt(t *testing.T) {
	s := newFixture(t, rig.Options{Behave: behaviours(map[string]rig.Behaviour{"hangs": {Hangs: true}})})
	arn := s.generation("hangs", 1, nil)
	s.serve(map[string]int32{arn: 1}, 0)
	load := &rig.Load{URL: s.URL, Rate: 200, Clients: 4, Timeout: 300 * time.Millisecond, Cookies: true}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan rig.Report)
	go func() { done <- load.Run(ctx) }()
	s.eventually("60 requests are sent", func() bool { return load.Snapshot().Sent >= 60 })
	if r := load.Snapshot(); r.Failed >= r.Sent {
		t.Errorf("all requests have ended already: %+v", r)
	}
	cancel()
	if r := <-done; r.Failed != r.Sent || r.ByStatus[0] != r.Sent {
		t.Errorf("got %+v, want all to have failed", r)
	}
}
