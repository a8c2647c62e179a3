package rollout_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// prober answers checks by functions.
type prober struct {
	request func(ctx context.Context, r rollout.ProbeRequest) (rollout.ProbeAnswer, error)
	command func(ctx context.Context, args, environ []string) error
}

func (p prober) Request(ctx context.Context, r rollout.ProbeRequest) (rollout.ProbeAnswer, error) {
	return p.request(ctx, r)
}

func (p prober) Command(ctx context.Context, args, environ []string) error {
	return p.command(ctx, args, environ)
}

// TestCheck_Requests: what checks send, and when.
func TestCheck_Requests(t *testing.T) {
	s := begun(t, quick(), spec("1"))
	m, _ := s.process(nil)
	var got []rollout.ProbeRequest
	var shares []int32
	m.Prober = prober{request: func(_ context.Context, r rollout.ProbeRequest) (rollout.ProbeAnswer, error) {
		got = append(got, r)
		shares = append(shares, s.world.share(s.world.tested().name))
		return rollout.ProbeAnswer{Status: 204, Body: "thank you"}, nil
	}}
	two := spec("2")
	rule := *two.Listener.Rule
	rule.Hosts = []string{"*.example.com", "web.example.com"}
	rule.Headers = []cluster.Header{{Name: "X-Origin-Verify", Values: []string{"a*", "hunter2"}}}
	two.Listener = &cluster.Listener{ARN: two.Listener.ARN, Rule: &rule}
	settings := quick(preview, steps(10))
	settings.Checks = []rollout.Check{{
		Path: "/buy?n=1", Method: "POST", Status: "200-299", BodyMatches: "^thank", Headers: map[string]string{"Accept": "text/plain"},
		Timeout: time.Second,
	}}
	if err := errors.Join(settings.Validate(), settings.ValidateFor(two)); err != nil {
		t.Fatal(err)
	}
	if err := s.apply(m, two, settings); err != nil {
		t.Fatal(err)
	}
	want := rollout.ProbeRequest{
		URL: balancer + "/buy?n=1", Host: "web.example.com", Method: "POST",
		Headers: map[string]string{"X-Preview": "sesame", "X-Origin-Verify": "hunter2", "Accept": "text/plain"},
	}
	if diff := cmp.Diff(got, []rollout.ProbeRequest{want, want, want}); diff != "" || !slices.Equal(shares, []int32{0, 10, 100}) {
		t.Errorf("at shares %v, got (-), want (+):\n%s", shares, diff)
	}
}

// TestCheck_Retried: a check that fails at first may pass within its time.
func TestCheck_Retried(t *testing.T) {
	s := begun(t, quick(), spec("1"))
	m, _ := s.process(nil)
	tries := 0
	m.Prober = prober{request: func(context.Context, rollout.ProbeRequest) (rollout.ProbeAnswer, error) {
		if tries++; tries < 3 {
			return rollout.ProbeAnswer{Status: 503}, nil
		}
		return rollout.ProbeAnswer{Status: 200}, nil
	}}
	settings := quick(preview)
	settings.Checks[0].Within = 11 * time.Second
	if err := s.apply(m, spec("2"), settings); err != nil {
		t.Fatal(err)
	}
	if tries != 4 {
		t.Errorf("%d tries, want 3 before the first shift and one after it", tries)
	}
}

// TestCheck_Command: a command may take longer than the lease lasts, and is ended when the
// user interrupts the rollout.
func TestCheck_Command(t *testing.T) {
	settings := quick(preview)
	settings.Checks = []rollout.Check{{Command: []string{"./smoke.sh"}, Timeout: 2 * time.Minute}}
	t.Run("Long", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := begun(t, quick(), spec("1"))
			m, _ := s.process(nil)
			var environ []string
			m.Prober = prober{command: func(ctx context.Context, _, with []string) error {
				environ = with
				return clock.System{}.Sleep(ctx, time.Minute)
			}}
			if err := s.apply(m, spec("2"), settings); err != nil {
				t.Fatal(err)
			}
			if err := s.converged("2"); err != nil {
				t.Error(err)
			}
			for _, want := range []string{
				"DELIVERY_CHECK_URL=" + balancer, "DELIVERY_CHECK_HOST=web.example.com", "DELIVERY_CHECK_HEADER_NAME=X-Preview",
				"DELIVERY_CHECK_HEADER_VALUE=sesame", "DELIVERY_CHECK_VERSION=2", "DELIVERY_CHECK_PERCENT=100",
			} {
				if !slices.Contains(environ, want) {
					t.Errorf("the command got %v, without %s", environ, want)
				}
			}
		})
	})
	t.Run("TimesOut", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := begun(t, quick(), spec("1"))
			m, _ := s.process(nil)
			m.Prober = prober{command: func(ctx context.Context, _, _ []string) error { <-ctx.Done(); return ctx.Err() }}
			settings := quick(preview)
			settings.Checks = []rollout.Check{{Command: []string{"./smoke.sh"}, Timeout: 10 * time.Second}}
			err := s.apply(m, spec("2"), settings)
			if outcome(err) != rollout.RolledBack || !strings.Contains(err.Error(), "no end within 10s") {
				t.Errorf("got %v, want it rolled back", err)
			}
		})
	})
	t.Run("Interrupted", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := begun(t, quick(), spec("1"))
			m, _ := s.process(nil)
			ctx, cancel := context.WithCancel(t.Context())
			ended := false
			m.Prober = prober{command: func(ctx context.Context, _, _ []string) error {
				_ = clock.System{}.Sleep(ctx, 1500*time.Millisecond)
				cancel()
				<-ctx.Done()
				_ = clock.System{}.Sleep(context.WithoutCancel(ctx), time.Second) // it takes a while to end
				ended = true
				return ctx.Err()
			}}
			err := s.applyIn(ctx, m, spec("2"), settings)
			if outcome(err) != rollout.Stopped || !ended {
				t.Errorf("got %v, ended: %t; want it stopped, and the command ended", err, ended)
			}
			m, _ = s.process(nil)
			if _, err := m.Resume(t.Context(), web); err != nil {
				t.Fatal(err)
			}
			if err := s.converged("2"); err != nil {
				t.Error(err)
			}
		})
	})
	// An alarm is not held up by a check.
	t.Run("AlarmMeanwhile", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := begun(t, quick(), spec("1"))
			m, _ := s.process(nil)
			fires(s)
			settings := settings
			settings.Alarms = []string{"errors"}
			m.Prober = prober{command: func(ctx context.Context, _, environ []string) error {
				if slices.Contains(environ, "DELIVERY_CHECK_PERCENT=0") {
					return nil
				}
				<-ctx.Done()
				return ctx.Err()
			}}
			began := clock.System{}.Now()
			err := s.apply(m, spec("2"), settings)
			took := clock.System{}.Now().Sub(began)
			if outcome(err) != rollout.RolledBack || !strings.Contains(err.Error(), `alarm "errors" fires`) || took > 10*time.Second {
				t.Errorf("after %s got %v, want it rolled back by the alarm", took, err)
			}
		})
	})
}

// TestCheck_Unreachable: the version's history does not say that it failed, also if another
// process rolls back.
func TestCheck_Unreachable(t *testing.T) {
	for name, call := range map[string]string{"Same": "", "OtherProcess": "ClosePreview"} {
		t.Run(name, func(t *testing.T) {
			s := begun(t, quick(), spec("1"))
			m, _ := s.process(nil)
			unreachable(s)
			if call != "" {
				m, _ = s.process(at(1, call, func() fault { return killedBefore }))
			}
			err := s.apply(m, spec("2"), quick(preview))
			if call != "" {
				m, _ = s.process(nil)
				_, err = m.Resume(t.Context(), web)
			}
			if outcome(err) != rollout.RolledBack || !strings.Contains(err.Error(), "because the version could not be checked") {
				t.Fatalf("got %v, want it rolled back without a verdict", err)
			}
			events, err := s.store.Events(t.Context(), builddata.EventQuery{Service: web.Service, Number: 2})
			if err != nil || len(events) != 2 || events[1].Status != builddata.Interrupted ||
				!strings.Contains(events[1].Message, "could not be checked") {
				t.Errorf("got events %+v (%v)", events, err)
			}
		})
	}
	t.Run("Continues", func(t *testing.T) {
		s := begun(t, quick(), spec("1"))
		m, _ := s.process(nil)
		unreachable(s)
		var warnings []string
		m.Warn = func(_ context.Context, format string, _ ...any) { warnings = append(warnings, format) }
		if err := s.apply(m, spec("2"), quick(preview, func(s *rollout.Settings) { s.Unreachable = rollout.Continue })); err != nil {
			t.Fatal(err)
		}
		states, err := rollout.Steps(s.store.rollouts()[0])
		if err != nil {
			t.Fatal(err)
		}
		noted := slices.ContainsFunc(states, func(state rollout.StepState) bool { return strings.HasPrefix(state.Detail, "not checked") })
		if len(warnings) != 2 || !noted {
			t.Errorf("got warnings %q, and steps %+v; want one for each time, and a note", warnings, states)
		}
	})
}

// TestCheck_UndoRunsNone: going back is not held up.
func TestCheck_UndoRunsNone(t *testing.T) {
	s := begun(t, quick(), spec("1"))
	m, _ := s.process(nil)
	if err := s.apply(m, spec("2"), quick(preview, watched)); err != nil {
		t.Fatal(err)
	}
	unreachable(s)
	m, _ = s.process(nil)
	if _, err := m.Undo(t.Context(), web); err != nil {
		t.Fatal(err)
	}
	if version := s.serving(); version != "1" {
		t.Errorf("version %s serves", version)
	}
}

func TestSettings_ValidateFor(t *testing.T) {
	checked := func(change func(*rollout.Check)) rollout.Settings {
		s := quick(preview)
		change(&s.Checks[0])
		return s
	}
	for name, tt := range map[string]struct {
		settings rollout.Settings
		spec     cluster.Spec
		want     string
	}{
		"Plain":         {quick(), spec("1"), ""},
		"Preview":       {quick(preview, watched), spec("1"), ""},
		"DefaultAction": {quick(preview), spec("1", defaultAction), ""},
		"Worker":        {quick(checkCommand), spec("1", worker), ""},
		"WorkerPreview": {quick(preview), spec("1", worker), "it has no preview"},
		"WorkerAlarms":  {quick(watched), spec("1", worker), "nothing to watch"},
		"NoPreview":     {quick(checkCommand), spec("1"), "checks need a preview"},
		"OtherHost": {checked(func(c *rollout.Check) { c.Headers = map[string]string{"host": "other.example.com"} }), spec("1"),
			"does not select this request"},
		"OtherPath": {quick(preview), spec("1", func(s *cluster.Spec) {
			s.Listener.Rule.Paths = []string{"/api/*"}
		}), "does not select this request"},
		"OnlyWildcards": {quick(preview), spec("1", func(s *cluster.Spec) { s.Listener.Rule.Hosts = []string{"*.example.com"} }),
			"set the header Host"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tt.settings.ValidateFor(tt.spec)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
