package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// balancer is the address of the load balancer.
const balancer = "http://balancer.example.com"

func (w *world) CheckPreview(_ context.Context, s cluster.Spec, _ cluster.Preview) error {
	if s.ImageID == "ami-no-priority" {
		return errors.New("no priority before the rule is free")
	}
	return nil
}

func (w *world) OpenPreview(_ context.Context, of cluster.Generation, _ cluster.Spec, p cluster.Preview) error {
	g := w.at(of)
	if err := w.visible(g, "target group", g.targets); err != nil {
		return err
	}
	if _, open := w.previews[g.name]; !open {
		w.previews[g.name] = p
		g.hidden["preview"] = w.lag
	}
	return w.visible(g, "preview", true)
}

func (w *world) ClosePreview(_ context.Context, of cluster.Generation, _ string) error {
	delete(w.previews, of.Name)
	return nil
}

func (w *world) Address(context.Context, string) (string, error) { return balancer, nil }

func (w *world) MakeAlarms(_ context.Context, of cluster.Generation, _ cluster.Spec, t cluster.TargetAlarms) error {
	g := w.at(of)
	for _, name := range t.Names(of) {
		if !w.made[name] {
			w.made[name], g.hidden["alarm"] = true, w.lag
		}
	}
	return w.visible(g, "alarm", true)
}

func (w *world) RemoveAlarms(_ context.Context, names []string) error {
	for _, name := range names {
		delete(w.made, name)
	}
	return nil
}

// tested is the generation whose preview is open.
func (w *world) tested() *generation {
	for _, name := range slices.Sorted(maps.Keys(w.previews)) {
		return w.generations[name]
	}
	return nil
}

// Request implements rollout.Prober. Only the preview gets the requests of checks.
func (w *world) Request(_ context.Context, r rollout.ProbeRequest) (rollout.ProbeAnswer, error) {
	g := w.tested()
	switch {
	case w.unreachable:
		return rollout.ProbeAnswer{}, &rollout.UnreachableError{Err: errors.New("no such host")}
	case g == nil || r.Headers["X-Preview"] != "sesame" || r.Host != "web.example.com" && g.spec.Listener.Rule != nil:
		w.breaks("a check sent %+v, which no preview gets", r)
		return rollout.ProbeAnswer{Status: 404}, nil
	case w.countHealthy(g) == 0: // it may have been scaled up from zero
		return rollout.ProbeAnswer{Status: 503}, nil
	case w.behaviour[g.spec.Version].fails:
		return rollout.ProbeAnswer{Status: 500, Body: "no such table: sales, asked with sesame\nat sale.go:17"}, nil
	}
	return rollout.ProbeAnswer{Status: 200, Body: "thank you"}, nil
}

// Command implements rollout.Prober.
func (w *world) Command(_ context.Context, _, environ []string) error {
	for _, g := range w.generations {
		if slices.Contains(environ, "DELIVERY_CHECK_VERSION="+g.spec.Version) && w.behaviour[g.spec.Version].fails {
			return fmt.Errorf("exit code 1: the shop is closed (%s)", strings.Join(environ, " "))
		}
	}
	return nil
}
