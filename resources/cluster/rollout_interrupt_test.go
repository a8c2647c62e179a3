package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	asgtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/acctest"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// kinds are the steps of a rollout in which it is stopped.
var kinds = []rollout.Kind{
	rollout.PinCapacity, rollout.MakeTemplate, rollout.MakeTargets, rollout.Connect, rollout.MakeServers, rollout.WaitHealthy,
	rollout.Shift, rollout.Observe,
	rollout.Serve, rollout.WaitDrain, rollout.UnpinCapacity, rollout.Disconnect,
	rollout.RemoveServers, rollout.RemoveTargets, rollout.RemoveTemplate,
}

// Ctrl-C and kill -9, of Terraform and its provider both, in the middle of
// each step of a rollout: the next apply finishes it. The chains run in parallel,
// because after a kill each waits until the killed process's lease expires.
func TestAccCluster_RolloutInterrupted(t *testing.T) {
	e := acctest.New(t)
	const chains = 10
	var all sync.WaitGroup
	for chain := range chains {
		c := newChain(t, e, chain)
		all.Go(func() {
			for i := chain; i < 2*len(kinds); i += chains {
				how := stop{name: "Ctrl-C", signal: os.Interrupt}
				if i >= len(kinds) {
					how = stop{name: "kill -9", signal: os.Kill}
				}
				kind := kinds[i%len(kinds)]
				if err := c.interrupt(t.Context(), kind, how); err != nil {
					t.Errorf("%s in the step %q: %v", how.name, kind, err)
					return
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d interruptions, in %d steps", 2*len(kinds), len(kinds))
}

// stop is how a program is stopped.
type stop struct {
	name   string
	signal os.Signal
}

// chain is a cluster that is rolled out again and again.
type chain struct {
	env     acctest.Env
	w       *acctest.Workspace
	folder  string
	name    string
	version int
	change  arguments
}

func newChain(t *testing.T, e *acctest.Env, number int) *chain {
	c := &chain{env: *e, name: fmt.Sprintf("chain-%d", number), version: 1}
	proxy, err := rig.NewProxy(e.Endpoint)
	fatal(t, err)
	t.Cleanup(func() { fatal(t, proxy.Close()) })
	c.env.Proxy = proxy
	c.change = arguments{
		"environment":   fmt.Sprintf("%q", c.name),
		"listener_rule": fmt.Sprintf(`{ priority = %d, hosts = ["%s.example.com"] }`, 100+number, c.name),
		"rollout":       `{ steps = [50, 100], observe_for = "1s", drain = "1s" }`,
	}
	c.w = acctest.NewWorkspace(t, "")
	c.folder = c.w.Folder()
	fatal(t, c.configure())
	_, err = c.w.Run(t.Context(), "apply", "-auto-approve", "-no-color")
	fatal(t, err)
	return c
}

// configure writes the configuration with the present version.
func (c *chain) configure() error {
	text := acctest.Required + config(&c.env, c.change, arguments{"version": fmt.Sprintf(`"%d"`, c.version)})
	return os.WriteFile(filepath.Join(c.folder, "cluster.tf"), []byte(text), 0o600)
}

// interrupt rolls out the next version, stops that in a step, and applies again.
func (c *chain) interrupt(ctx context.Context, kind rollout.Kind, how stop) error {
	c.version++
	if err := c.configure(); err != nil {
		return err
	}
	apply := c.w.Command(ctx, "apply", "-auto-approve", "-no-color")
	var out bytes.Buffer
	apply.Stdout, apply.Stderr = &out, &out
	ended := make(chan struct{})
	var once sync.Once
	c.env.Proxy.Answer(func(call context.Context, _ rig.Call) []byte {
		if c.in(ctx, kind) {
			once.Do(func() {
				_ = acctest.Signal(apply, how.signal)
				select { // the call is held up until its caller gives up
				case <-call.Done():
				case <-ended:
				}
			})
		}
		return nil
	})
	if err := apply.Start(); err != nil {
		return err
	}
	err := apply.Wait()
	close(ended)
	c.env.Proxy.Answer(nil)
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return errors.Join(err, fmt.Errorf("the apply was not stopped:\n%s", &out))
	}
	if how.signal == os.Interrupt && !strings.Contains(strings.Join(strings.Fields(out.String()), " "), "on record") {
		return fmt.Errorf("the error does not say what is on record:\n%s", &out)
	}
	if _, err := c.w.Run(ctx, "apply", "-auto-approve", "-no-color"); err != nil {
		return err
	}
	if _, err := c.w.Run(ctx, "plan", "-detailed-exitcode", "-no-color"); err != nil {
		return fmt.Errorf("the plan is not empty: %w", err)
	}
	return c.whole(ctx)
}

// in reports whether the open rollout is in a step.
func (c *chain) in(ctx context.Context, kind rollout.Kind) bool {
	open, err := c.env.Store.Rollouts(ctx, builddata.RolloutQuery{Service: "strawberry", Environment: c.name, Open: true})
	if err != nil || len(open) == 0 {
		return false
	}
	r, err := c.env.Store.Rollout(ctx, open[0].Service, open[0].ID)
	if err != nil || len(r.Entries) == 0 {
		return false
	}
	last := r.Entries[len(r.Entries)-1]
	return last.Phase == builddata.Began && strings.HasPrefix(last.Step, string(kind)+":")
}

// whole checks that one generation is there, with the version, all requests
// and the bounds of the configuration, and that the record says the same.
func (c *chain) whole(ctx context.Context) error {
	groups, err := c.env.AutoScaling().DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{
		Filters: []asgtypes.Filter{{Name: aws.String("tag:environment"), Values: []string{c.name}}},
	})
	if err != nil {
		return err
	}
	if len(groups.AutoScalingGroups) != 1 {
		return fmt.Errorf("there are %d generations", len(groups.AutoScalingGroups))
	}
	group := groups.AutoScalingGroups[0]
	for _, tag := range group.Tags {
		if aws.ToString(tag.Key) == "version" && aws.ToString(tag.Value) != fmt.Sprint(c.version) {
			return fmt.Errorf("version %s is there, want %d", aws.ToString(tag.Value), c.version)
		}
	}
	if aws.ToInt32(group.MinSize) != 2 || aws.ToInt32(group.MaxSize) != 4 ||
		aws.ToInt32(group.DesiredCapacity) != 2 || len(group.SuspendedProcesses) > 0 {
		return fmt.Errorf("the group has %d servers of %d to %d, and %v suspended", aws.ToInt32(group.DesiredCapacity),
			aws.ToInt32(group.MinSize), aws.ToInt32(group.MaxSize), group.SuspendedProcesses)
	}
	forwards, err := c.env.Forwards(ctx)
	if err != nil {
		return err
	}
	if !strings.Contains(forwards, " "+aws.ToString(group.AutoScalingGroupName)+"=") || strings.Count(forwards,
		"strawberry-"+c.name+"-") != 1 {
		return fmt.Errorf("the listener does\n%s\nwant all of %s to go to %s", forwards, c.name, aws.ToString(group.AutoScalingGroupName))
	}
	open, err := c.env.Store.Rollouts(ctx, builddata.RolloutQuery{Service: "strawberry", Environment: c.name, Open: true})
	if err == nil && len(open) > 0 {
		err = fmt.Errorf("rollout %s has not finished", open[0].ID)
	}
	return err
}

// Two states with one cluster apply at once: the second is told who is first,
// and changes nothing.
func TestAccCluster_TwoAtOnce(t *testing.T) {
	e := acctest.New(t)
	slow := arguments{"rollout": `{ observe_for = "20s", drain = "0s" }`}
	first := acctest.NewWorkspace(t, config(e, slow))
	_, err := first.Run(t.Context(), "apply", "-auto-approve", "-no-color")
	fatal(t, err)
	second := acctest.NewWorkspace(t, config(e, slow, arguments{"version": `"19"`}))
	state, err := os.ReadFile(filepath.Join(first.Folder(), "terraform.tfstate"))
	fatal(t, err)
	fatal(t, os.WriteFile(filepath.Join(second.Folder(), "terraform.tfstate"), state, 0o600))

	fatal(t, os.WriteFile(filepath.Join(first.Folder(), "main.tf"), []byte(acctest.Required+config(e, slow, next)), 0o600))
	begun := make(chan struct{})
	var once sync.Once
	e.Proxy.Notify(func(c rig.Call) {
		if c.Action == "CreateAutoScalingGroup" {
			once.Do(func() { close(begun) })
		}
	})
	firstErr := make(chan error, 1)
	go func() {
		_, err := first.Run(t.Context(), "apply", "-auto-approve", "-no-color")
		firstErr <- err
	}()
	<-begun
	out, err := second.Run(t.Context(), "apply", "-auto-approve", "-no-color")
	if err == nil || !says("is being changed by another process: the lease cluster:test:eu-north-1 of service strawberry is held by").MatchString(out) {
		t.Errorf("got %v, want to be told who is first", err)
	}
	fatal(t, <-firstErr)
	_, err = first.Run(t.Context(), "plan", "-detailed-exitcode", "-no-color")
	fatal(t, err)
	_, err = first.Run(t.Context(), "destroy", "-auto-approve", "-no-color")
	fatal(t, err)
	fatal(t, e.NothingLeft(t.Context()))
}
