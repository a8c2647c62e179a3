package awscloud_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
)

// faultSettings have all kinds of steps, and take hardly any time.
var faultSettings = rollout.Settings{
	Steps: []int32{50, 100}, HealthyWithin: 10 * time.Minute, ObserveFor: time.Second, Drain: time.Second,
	OnFailure: rollout.Undo, Protected: rollout.Wait,
}

// TestAccRollout_Faults makes each of AWS's actions fail once, in a creation, a
// rollout, going back and a destruction. None of these fails.
func TestAccRollout_Faults(t *testing.T) {
	enter(t, 3)
	for name, fault := range map[string]func() func(rig.Call) *rig.Fault{
		"Throttled":   func() func(rig.Call) *rig.Fault { return once(rig.Fault{Status: 400, Code: "Throttling"}) },
		"ServerError": func() func(rig.Call) *rig.Fault { return once(rig.Fault{Status: 500, Code: "InternalFailure"}) },
		"Transient":   transient,
		"LostReply":   func() func(rig.Call) *rig.Fault { return unique(once(rig.Fault{After: true})) },
		"Hidden":      func() func(rig.Call) *rig.Fault { return unique(rig.Hidden(3)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // the SDK waits before it tries again
			s := openSite(t, 100, nil)
			faults := map[string]int{}
			s.proxy.Intercept(func(rule func(rig.Call) *rig.Fault) func(rig.Call) *rig.Fault {
				return func(c rig.Call) *rig.Fault {
					fault := rule(c)
					if fault != nil {
						faults[c.Action]++
					}
					return fault
				}
			}(fault()))
			settings := faultSettings
			settings.KeepPrevious = true
			s.apply("1", settings)
			s.apply("2", settings)
			s.sound("2", 2)
			if _, err := s.manager.Undo(t.Context(), strawberry); err != nil {
				t.Fatalf("%v%s", err, s.log())
			}
			s.sound("1", 2)
			s.apply("3", faultSettings)
			s.sound("3", 2)
			s.destroy()
			t.Logf("%d actions faltered", len(faults))
		})
	}
}

// once breaks the first call of each action with a fault.
func once(fault rig.Fault) func(rig.Call) *rig.Fault {
	seen := map[string]bool{}
	return func(c rig.Call) *rig.Fault {
		if seen[c.Action] {
			return nil
		}
		seen[c.Action] = true
		return &fault
	}
}

// transientCodes are answers by which AWS says that it is still working, or that it does not
// show everywhere yet what it has confirmed, by action.
var transientCodes = map[string]string{
	"autoscaling UpdateAutoScalingGroup":                 "ScalingActivityInProgress",
	"autoscaling CreateOrUpdateTags":                     "ResourceInUse",
	"autoscaling DeleteTags":                             "ResourceInUse",
	"autoscaling DeleteAutoScalingGroup":                 "ScalingActivityInProgress",
	"ec2 CreateTags":                                     "InvalidInstanceID.NotFound",
	"ec2 DeleteTags":                                     "InvalidVolume.NotFound",
	"ec2 DescribeSecurityGroups":                         "InvalidGroup.NotFound",
	"ec2 DescribeSubnets":                                "InvalidSubnetID.NotFound",
	"elasticloadbalancing DescribeListeners":             "ListenerNotFound",
	"elasticloadbalancing DescribeTargetGroupAttributes": "TargetGroupNotFound",
	"elasticloadbalancing ModifyTargetGroupAttributes":   "TargetGroupNotFound",
	"elasticloadbalancing DeleteTargetGroup":             "ResourceInUse",
}

// transient answers the first call of each action with its transient code.
func transient() func(rig.Call) *rig.Fault {
	seen := map[string]bool{}
	return func(c rig.Call) *rig.Fault {
		action := c.Service + " " + c.Action
		code, ok := transientCodes[action]
		if !ok || seen[action] {
			return nil
		}
		seen[action] = true
		return &rig.Fault{Status: 400, Code: code}
	}
}

// TestAccRollout_DeletesWithoutForce: an empty group is deleted without force, which deletion
// protection and policies may forbid.
func TestAccRollout_DeletesWithoutForce(t *testing.T) {
	enter(t, 1)
	s := openSite(t, 100, nil)
	s.proxy.Intercept(func(c rig.Call) *rig.Fault {
		if c.Action == "DeleteAutoScalingGroup" && c.Form.Get("ForceDelete") == "true" {
			return &rig.Fault{Status: 400, Code: "ValidationError"}
		}
		return nil
	})
	s.apply("1", faultSettings)
	s.apply("2", faultSettings)
	s.sound("2", 2)
	s.destroy()
}

// unique refuses a second Auto Scaling group of the same name, as AWS does. Moto
// would create it.
func unique(rule func(rig.Call) *rig.Fault) func(rig.Call) *rig.Fault {
	made := map[string]bool{}
	return func(c rig.Call) *rig.Fault {
		name := c.Form.Get("AutoScalingGroupName")
		if c.Action == "CreateAutoScalingGroup" && made[name] {
			return &rig.Fault{Status: 400, Code: "AlreadyExists"}
		}
		fault := rule(c)
		if c.Action == "CreateAutoScalingGroup" && (fault == nil || fault.After) {
			made[name] = true
		}
		return fault
	}
}

// TestAccRollout_Protected rolls out a version while one of the old servers is
// protected from scale-in, as a server is that does some work to its end.
func TestAccRollout_Protected(t *testing.T) {
	enter(t, 3)
	t.Run("Wait", func(t *testing.T) {
		s, old, server := protectedSite(t)
		waits := make(chan struct{})
		told, wait := s.manager.Progress, sync.OnceFunc(func() { close(waits) })
		s.manager.Progress = func(ctx context.Context, format string, args ...any) {
			told(ctx, format, args...)
			if strings.Contains(fmt.Sprintf(format, args...), "protected from scale-in") {
				wait()
			}
		}
		freed := make(chan error, 1)
		go func() {
			<-waits
			freed <- errors.Join(s.holds(old, server), s.protect(old, server, false), s.scale(t.Context(), old, 0))
		}()
		s.apply("2", faultSettings)
		if err := <-freed; err != nil {
			t.Error(err)
		}
		s.sound("2", 2)
		s.destroy()
	})
	t.Run("Ignore", func(t *testing.T) {
		s, old, server := protectedSite(t)
		settings := faultSettings
		settings.Protected = rollout.Ignore
		s.apply("2", settings)
		if err := s.holds(old, server); err != nil {
			t.Error(err)
		}
		p, err := rollout.ReadStatus(t.Context(), s.manager.Store, strawberry, s.manager.Region)
		if err != nil || len(p.Left) != 1 || p.Left[0].Name != old {
			t.Fatalf("got %+v left and %v, want %s", p.Left, err, old)
		}
		// As long as it is protected, it stays; then, the next rollout ends it.
		s.apply("3", settings)
		if err := s.holds(old, server); err != nil {
			t.Error(err)
		}
		if err := errors.Join(s.protect(old, server, false), s.scale(t.Context(), old, 0)); err != nil {
			t.Fatal(err)
		}
		s.apply("4", settings)
		s.sound("4", 2)
		if p, err := rollout.ReadStatus(t.Context(), s.manager.Store, strawberry, s.manager.Region); err != nil || len(p.Left) > 0 {
			t.Errorf("got %+v left and %v, want nothing", p.Left, err)
		}
		s.destroy()
	})
	t.Run("Force", func(t *testing.T) {
		s, _, server := protectedSite(t)
		s.endsWithGroup(server)
		settings := faultSettings
		settings.Protected = rollout.Force
		s.apply("2", settings)
		s.sound("2", 2)
		s.destroy()
	})
	t.Run("Destroy", func(t *testing.T) {
		s, _, server := protectedSite(t)
		s.endsWithGroup(server)
		s.destroy()
	})
}

// protectedSite is a cluster one of whose servers is protected.
func protectedSite(t *testing.T) (s *site, generation, server string) {
	t.Helper()
	s = openSite(t, 100, nil)
	generation = s.apply("1", faultSettings)
	group, err := s.group(t.Context(), generation)
	if err != nil || len(group.Instances) == 0 {
		t.Fatalf("got %+v and %v, want servers", group, err)
	}
	server = aws.ToString(group.Instances[0].InstanceId)
	if err := s.protect(generation, server, true); err != nil {
		t.Fatal(err)
	}
	return s, generation, server
}

// protect protects a server from scale-in, or ends its protection. AWS would then
// end it, if there are too many; moto has to be told how many there should be.
func (s *site) protect(generation, server string, protected bool) error {
	_, err := s.scaling.SetInstanceProtection(s.Context(), &autoscaling.SetInstanceProtectionInput{
		AutoScalingGroupName: &generation, InstanceIds: []string{server}, ProtectedFromScaleIn: &protected,
	})
	return err
}

// endsWithGroup has a protected server end once its group is deleted by force,
// as in AWS. Moto leaves it running.
func (s *site) endsWithGroup(server string) {
	compute := ec2.NewFromConfig(s.account.Config(rolloutRegion))
	s.proxy.Notify(func(c rig.Call) {
		if c.Action != "DeleteAutoScalingGroup" || c.Form.Get("ForceDelete") != "true" {
			return
		}
		if _, err := compute.TerminateInstances(s.Context(), &ec2.TerminateInstancesInput{InstanceIds: []string{server}}); err != nil {
			s.Error(err)
		}
	})
}

// holds checks that a generation still has a server, and no other.
func (s *site) holds(generation, server string) error {
	group, err := s.group(s.Context(), generation)
	if err != nil || group == nil {
		return errors.Join(err, fmt.Errorf("auto scaling group %s is there: %t", generation, group != nil))
	}
	var ids []string
	for _, i := range group.Instances {
		ids = append(ids, aws.ToString(i.InstanceId))
	}
	if !slices.Equal(ids, []string{server}) {
		return fmt.Errorf("%s has %v, want %s", generation, ids, server)
	}
	return nil
}
