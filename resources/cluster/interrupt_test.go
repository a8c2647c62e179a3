package cluster_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/acctest"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

func TestMain(m *testing.M) { os.Exit(acctest.Main(m)) }

// Ctrl-C in the middle of an apply, at each kind of call: Terraform ends at
// once and knows what there is, and the next apply puts it right.
func TestAccCluster_Interrupted(t *testing.T) {
	for _, at := range []string{"CreateLaunchTemplate", "CreateTargetGroup", "CreateRule", "CreateAutoScalingGroup", "DescribeTargetHealth"} {
		t.Run(at, func(t *testing.T) {
			e := acctest.New(t)
			w := acctest.NewWorkspace(t, config(e))
			apply := w.Command(t.Context(), "apply", "-auto-approve", "-no-color")
			var out bytes.Buffer
			apply.Stdout, apply.Stderr = &out, &out

			// The call is held up until Terraform has ended, so the provider
			// can only be stopped while it waits for the reply.
			ended := make(chan struct{})
			var once sync.Once
			e.Proxy.Intercept(func(c rig.Call) *rig.Fault {
				if c.Action == at {
					once.Do(func() {
						if err := apply.Process.Signal(os.Interrupt); err != nil {
							t.Error(err)
						}
					})
					<-ended
				}
				return nil
			})
			fatal(t, apply.Start())
			err := apply.Wait()
			close(ended)
			var exit *exec.ExitError
			if !errors.As(err, &exit) || !says("everything that it created is on record").MatchString(out.String()) {
				t.Fatalf("got %v, want a failure that says what is left:\n%s", err, &out)
			}
			e.Proxy.Intercept(nil)

			_, err = w.Run(t.Context(), "apply", "-auto-approve", "-no-color")
			fatal(t, err)
			_, err = w.Run(t.Context(), "plan", "-detailed-exitcode", "-no-color")
			fatal(t, err)
			left, err := rig.Leftovers(t.Context(), e.Account, e.Landscape)
			fatal(t, err)
			if groups := strings.Count(strings.Join(left, ", "), "Auto Scaling group"); groups != 1 {
				t.Errorf("got %d groups, want the new one only: %v", groups, left)
			}
			_, err = w.Run(t.Context(), "destroy", "-auto-approve", "-no-color")
			fatal(t, err)
			fatal(t, e.NothingLeft(t.Context()))
		})
	}
}
