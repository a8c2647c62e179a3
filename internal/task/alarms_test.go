package task_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/task"
)

// alarms tells the state of alarms by the time.
type alarms struct {
	clock clock.Clock
	state func(name string, after time.Duration) cluster.AlarmState
	err   error
	asked int
}

func (a *alarms) Alarms(_ context.Context, names []string) ([]cluster.Alarm, error) {
	a.asked++
	all := make([]cluster.Alarm, len(names))
	for i, name := range names {
		all[i] = cluster.Alarm{Name: name, State: a.state(name, a.clock.Now().Sub(noon)), Reason: "threshold\ncrossed"}
	}
	return all, a.err
}

func TestAlarms(t *testing.T) {
	quiet := func(string, time.Duration) cluster.AlarmState { return cluster.AlarmOK }
	silent := func(string, time.Duration) cluster.AlarmState { return cluster.AlarmNoData }
	for _, tt := range []struct {
		name  string
		args  pipe.Args
		state func(string, time.Duration) cluster.AlarmState
		err   error
		took  time.Duration
		asked int
		says  string
	}{
		{"Quiet", nil, quiet, nil, 5 * time.Minute, 31, "2 alarms quiet for 5m0s"},
		{"NotAMultiple", pipe.Args{"for": 15 * time.Second}, quiet, nil, 15 * time.Second, 3, "2 alarms quiet for 15s"},
		{"Once", pipe.Args{"for": time.Duration(0)}, quiet, nil, 0, 1, "2 alarms quiet for 0s"},
		{"NoData", pipe.Args{"for": 10 * time.Second}, silent, nil, 10 * time.Second, 2, "2 alarms quiet for 10s, 2 of them without data"},
		{"NoDataIsAnAlarm", pipe.Args{"missing_data": "alarm"}, silent, nil, 0, 1, `alarm "errors" has no data, which counts as firing`},
		{"Fires", nil, func(name string, after time.Duration) cluster.AlarmState {
			if name == "latency" && after >= time.Minute {
				return cluster.AlarmFiring
			}
			return cluster.AlarmOK
		}, nil, time.Minute, 7, `after 1m0s: alarm "latency" fires: threshold crossed`},
		{"Missing", nil, func(string, time.Duration) cluster.AlarmState { return cluster.AlarmMissing }, nil, 0, 1, `alarm "errors" does not exist in this account and region; alarm "latency" does not exist`},
		{"CannotBeRead", nil, quiet, errors.New("AccessDenied"), 0, 1, "whether the alarms are quiet is unknown: AccessDenied"},
		{"NoneNamed", pipe.Args{"alarms": []string{}}, quiet, nil, 0, 0, "no alarm is named"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newFixture(t)
			source := &alarms{clock: b.Clock, state: tt.state, err: tt.err}
			b.Alarms = func(context.Context) (task.Alarms, error) { return source, nil }
			args := pipe.Args{"alarms": []string{"errors", "latency"}}
			for name, value := range tt.args {
				args[name] = value
			}
			got, _, err := b.try(t, "verify.alarms", args)
			if strings.Contains(tt.says, "quiet for") {
				if err != nil || got.Message != tt.says {
					t.Errorf("got %q (%v), want %q", got.Message, err, tt.says)
				}
			} else {
				wantError(t, err, tt.says)
			}
			if took := b.Clock.Now().Sub(noon); took != tt.took || source.asked != tt.asked {
				t.Errorf("asked %d times in %s, want %d in %s", source.asked, took, tt.asked, tt.took)
			}
		})
	}
	t.Run("Interrupted", func(t *testing.T) {
		b := newFixture(t)
		ctx, stop := context.WithCancelCause(t.Context())
		b.Alarms = func(context.Context) (task.Alarms, error) {
			return &alarms{clock: b.Clock, state: func(_ string, after time.Duration) cluster.AlarmState {
				if after > time.Minute {
					stop(errors.New("Ctrl-C"))
				}
				return cluster.AlarmOK
			}}, nil
		}
		_, err := b.do(t, ctx, "verify.alarms", b.call(pipe.Args{"alarms": []string{"errors"}}))
		wantError(t, err, "Ctrl-C")
	})
}
