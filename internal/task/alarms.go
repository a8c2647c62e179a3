package task

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// How long alarms are watched by default, and how often they are looked at.
const (
	defaultWatch = 5 * time.Minute
	watchEvery   = 10 * time.Second
)

// alarms watches alarms.
func (r *Registry) alarms() pipe.Definition {
	return pipe.Definition{
		Type: "verify.alarms", AnyRevision: true, Summary: "Watches CloudWatch alarms, and fails as soon as one fires.",
		Arguments: []pipe.Argument{
			{Name: "alarms", Kind: pipe.List, Required: true, Summary: "The names of the alarms: metric, composite and log alarms."},
			{Name: "for", Kind: pipe.Duration, Summary: "How long to watch, by default 5m; 0s looks once."},
			{
				Name: "missing_data", Kind: pipe.Text, OneOf: []string{"ok", "alarm"},
				Summary: "What an alarm without data counts as: ok (the default) or alarm.",
			},
			{Name: argEnvironment, Kind: pipe.Text, Summary: "The environment that the alarms watch, which the step's events name."},
		},
		Environment: func(args pipe.Args) string { return args.Text(argEnvironment) },
		Run:         r.watchAlarms,
		Mock: mock(nil, func(c *pipe.Call) string {
			return fmt.Sprintf("watch %s for %s", strings.Join(c.Args.List("alarms"), ", "), watch(c))
		}),
	}
}

// watch is how long alarms are to be watched.
func watch(c *pipe.Call) time.Duration {
	if c.Args.Has("for") {
		return c.Args.Duration("for")
	}
	return defaultWatch
}

func (r *Registry) watchAlarms(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
	if err := checkEnvironment(c.Args); err != nil {
		return pipe.Result{}, err
	}
	names, long := c.Args.List("alarms"), watch(c)
	if len(names) == 0 {
		return pipe.Result{}, errors.New("no alarm is named, so there is nothing to watch")
	}
	source, err := r.Alarms(ctx)
	if err != nil {
		return pipe.Result{}, fmt.Errorf("the alarms cannot be watched: %w", err)
	}
	printf(c, "watching %s for %s", strings.Join(names, ", "), long)
	states := map[string]cluster.AlarmState{}
	begin := r.Clock.Now()
	for {
		all, err := source.Alarms(ctx, names)
		if cause := context.Cause(ctx); cause != nil {
			return pipe.Result{}, cause
		}
		if err != nil {
			return pipe.Result{}, fmt.Errorf("whether the alarms are quiet is unknown: %w", err)
		}
		watched := max(0, r.Clock.Now().Sub(begin))
		for _, alarm := range all {
			if states[alarm.Name] != alarm.State {
				states[alarm.Name] = alarm.State
				printf(c, "after %s: %s is %s", watched.Round(time.Second), alarm.Name, alarm.State)
			}
		}
		if err := cluster.Verdict(all, c.Args.Text("missing_data") == "alarm"); err != nil {
			return pipe.Result{}, fmt.Errorf("after %s: %w", watched.Round(time.Second), err)
		}
		if watched >= long {
			break
		}
		if r.Clock.Sleep(ctx, min(watchEvery, long-watched)) != nil {
			return pipe.Result{}, context.Cause(ctx)
		}
	}
	message := fmt.Sprintf("%s quiet for %s", text.Count(len(names), "alarm"), long)
	if silent := without(states); silent > 0 {
		message += fmt.Sprintf(", %d of them without data", silent)
	}
	return pipe.Result{Message: message}, nil
}

// without counts the alarms that have no data in the end.
func without(states map[string]cluster.AlarmState) (n int) {
	for _, state := range states {
		if state == cluster.AlarmNoData {
			n++
		}
	}
	return n
}
