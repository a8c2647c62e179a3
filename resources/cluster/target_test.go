package cluster_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/acctest"
)

// A health check has the port and the protocol of the target unless it has its own, which
// need new servers.
func TestAccCluster_TargetHealthCheck(t *testing.T) {
	e := acctest.New(t)
	target := func(health string) arguments {
		return arguments{"target": `{ port = 8080, deregistration_delay = "0s", health_check = { ` + health + ` } }`}
	}
	checked := func(port, protocol string) resource.TestCheckFunc {
		return func(s *terraform.State) error {
			out, err := e.ELB().DescribeTargetGroups(t.Context(), &elb.DescribeTargetGroupsInput{Names: []string{attribute(s, "generation")}})
			if err != nil {
				return err
			}
			group := out.TargetGroups[0]
			if aws.ToString(group.HealthCheckPort) != port || string(group.HealthCheckProtocol) != protocol {
				return fmt.Errorf("checked at %s by %s, want %s by %s",
					aws.ToString(group.HealthCheckPort), group.HealthCheckProtocol, port, protocol)
			}
			return nil
		}
	}
	var generation string
	test(t, e,
		resource.TestStep{
			Config: config(e, target(`port = 70000`)), PlanOnly: true, ExpectError: says("must be between 1 and 65535"),
		},
		resource.TestStep{
			Config: config(e, target(`protocol = "TCP"`)), PlanOnly: true, ExpectError: says(`"TCP" is not supported`),
		},
		resource.TestStep{
			Config: config(e, target(``)), ConfigPlanChecks: expect(plancheck.ResourceActionCreate),
			Check: resource.ComposeTestCheckFunc(checked("traffic-port", "HTTP"), func(s *terraform.State) error {
				generation = attribute(s, "generation")
				return nil
			}),
		},
		// The target's own, in so many words, are the same.
		resource.TestStep{
			Config: config(e, target(`port = 8080, protocol = "HTTP"`)), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
			Check: resource.ComposeTestCheckFunc(checked("traffic-port", "HTTP"), func(s *terraform.State) error {
				if attribute(s, "generation") != generation {
					return errors.New("there are new servers, want none")
				}
				return nil
			}),
		},
		resource.TestStep{
			Config: config(e, target(`port = 9090, protocol = "HTTPS"`)), ConfigPlanChecks: plans("17", "17"), Check: checked("9090", "HTTPS"),
		},
		imported,
	)
}
