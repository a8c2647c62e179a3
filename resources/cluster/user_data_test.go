package cluster_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/acctest"
)

// encodedUserData checks the user data that servers get.
func encodedUserData(t *testing.T, e *acctest.Env, beginsWith string) resource.TestCheckFunc {
	return func(s *terraform.State) error {
		out, err := e.EC2().DescribeLaunchTemplateVersions(t.Context(), &ec2.DescribeLaunchTemplateVersionsInput{
			LaunchTemplateId: aws.String(attribute(s, "launch_template_id")), Versions: []string{"$Latest"},
		})
		if err != nil {
			return err
		}
		if got := aws.ToString(out.LaunchTemplateVersions[0].LaunchTemplateData.UserData); !strings.HasPrefix(got, beginsWith) {
			return fmt.Errorf("got the user data %q, want it to begin with %q", got, beginsWith)
		}
		return nil
	}
}

func TestAccCluster_UserData(t *testing.T) {
	e := acctest.New(t)
	text := arguments{"user_data": `"#!/bin/sh\necho one\n"`}
	encoded := arguments{"user_data_base64": `base64encode("#!/bin/sh\necho one\n")`}
	compressed := arguments{"user_data_base64": `base64gzip("#!/bin/sh\necho one\n")`}
	var generation string
	test(t, e,
		resource.TestStep{Config: config(e, text), Check: resource.ComposeTestCheckFunc(
			encodedUserData(t, e, "IyEvYmlu"),
			func(s *terraform.State) error {
				generation = attribute(s, "generation")
				return nil
			},
		)},
		imported,
		// The same data needs no new servers.
		resource.TestStep{
			Config: config(e, encoded), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
			Check: func(s *terraform.State) error {
				if got := attribute(s, "generation"); got != generation {
					return fmt.Errorf("got generation %s, want it unchanged, %s", got, generation)
				}
				return nil
			},
		},
		resource.TestStep{
			Config: config(e, compressed), ConfigPlanChecks: plans("17", "17"),
			Check:             encodedUserData(t, e, "H4sI"),
			ConfigStateChecks: []statecheck.StateCheck{value("user_data", knownvalue.Null())},
		},
		imported,
		resource.TestStep{Config: config(e), ConfigPlanChecks: plans("17", "17")},
		resource.TestStep{
			Config: config(e, arguments{"user_data": `base64gzip("#!/bin/sh")`}), PlanOnly: true,
			ExpectError: says("User data is encoded twice"),
		},
		resource.TestStep{
			Config: config(e, arguments{"user_data_base64": `base64encode(base64gzip("#!/bin/sh"))`}), PlanOnly: true,
			ExpectError: says("base64 of base64"),
		},
		resource.TestStep{
			Config: config(e, arguments{"user_data_base64": `"#!/bin/sh"`}), PlanOnly: true, ExpectError: says("is not valid base64"),
		},
		resource.TestStep{
			Config: config(e, text, encoded), PlanOnly: true, ExpectError: says("These attributes cannot be configured together"),
		},
		resource.TestStep{Config: config(e)},
	)
}
