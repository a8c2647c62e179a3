package examples_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/acctest"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

// provisioning is the part of the template that needs a machine, which an emulated AWS does
// not start.
var provisioning = regexp.MustCompile(`(?s)  provisioner "file".*?(  # Tags the AMI)`)

// The service of the guide goes from nothing to a rollout with ready-made pipes only: built,
// baked, tested in an environment of its own, deployed to QA and to production. Its tests
// send real requests to the emulated servers.
func TestAccQuince(t *testing.T) {
	e := acctest.New(t)
	plane, err := rig.NewDataPlane(t.Context(), e.Account, e.Landscape, e.Proxy, rig.Options{Speed: 20})
	fatal(t, err)
	t.Cleanup(func() { fatal(t, plane.Close()) })
	installed, err := rig.Install(t.Context(), t.TempDir())
	fatal(t, err)
	root := t.TempDir()
	folder := filepath.Join(root, "checkout")
	fatal(t, os.CopyFS(folder, os.DirFS("quince")))

	// What a user replaces: the network, the image to bake from, the time to observe.
	replace(t, filepath.Join(folder, "cluster", "network.tf"), func(string) string {
		return "locals {\n  subnet_ids = [\"" + strings.Join(e.Subnets, `","`) + "\"]\n  security_group_ids = [\"" + e.SecurityGroup +
			"\"]\n  listener = \"" + e.Listener + "\"\n  domain = \"example.com\"\n}\n"
	})
	replace(t, filepath.Join(folder, "packer", "image.pkr.hcl"), func(text string) string {
		text = provisioning.ReplaceAllString(text, "$1")
		text = regexp.MustCompile(`(?s)  source_ami_filter \{.*?\n  \}\n`).ReplaceAllString(text, "  source_ami = \""+rig.BaseImage+"\"\n")
		// An emulated AWS does not tag snapshots while it creates them.
		return strings.Replace(text, `communicator = "ssh"`, "communicator = \"none\"\n  skip_ami_run_tags = true", 1)
	})
	replace(t, filepath.Join(folder, "prod", "main.tf"), func(text string) string { return strings.Replace(text, `"5m"`, `"2s"`, 1) })

	environ := append(append(append(os.Environ(), e.Environ()...), installed.Environ...),
		"AWS_ENDPOINT_URL="+e.Proxy.URL, "AWS_REGION="+acctest.Region, "DELIVERY_REPOSITORY="+e.Repository(), "XDG_STATE_HOME="+t.TempDir(),
		"GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com",
		"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com",
		"HTTP_PROXY="+plane.URL, "http_proxy="+plane.URL, "NO_PROXY=127.0.0.1,localhost")
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir, cmd.Env = folder, environ
		out, err := cmd.Output()
		if err != nil {
			stderr := ""
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				stderr = string(exit.Stderr)
			}
			t.Fatalf("%s: %v\n%s\n%s", cmd, err, out, stderr)
		}
		return string(out)
	}
	for _, alarm := range []string{"quince-qa", "quince-prod"} {
		_, err := e.CloudWatch(acctest.Region).PutMetricAlarm(t.Context(), &cloudwatch.PutMetricAlarmInput{
			AlarmName: aws.String(alarm), Namespace: aws.String("AWS/ApplicationELB"), MetricName: aws.String("HTTPCode_Target_5XX_Count"),
			Statistic: types.StatisticSum, Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(0),
			ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold,
		})
		fatal(t, err)
	}
	run("git", "init", "--quiet", "--bare", "--initial-branch=main", filepath.Join(root, "remote.git"))
	run("git", "init", "--quiet", "--initial-branch=main")
	run("git", "remote", "add", "origin", filepath.Join(root, "remote.git"))
	run("git", "add", "-A")
	run("git", "commit", "--quiet", "-m", "quince")
	run("git", "push", "--quiet", "-u", "origin", "main")

	pipeRun := func(args ...string) pipe.Summary {
		t.Helper()
		var s pipe.Summary
		fatal(t, json.Unmarshal([]byte(run(installed.Delivery, append([]string{"run", "--output", "json"}, args...)...)), &s))
		for _, step := range s.Steps {
			t.Logf("%-25s %s %s", step.Name, step.Status, step.Message)
		}
		return s
	}
	if s := pipeRun(); s.Version != "1" || s.Pipe != "cd" || len(s.Steps) != 11 {
		t.Errorf("got %+v", s)
	}
	fatal(t, e.NothingLeft(t.Context()))
	pipeRun() // the first run left the checkout clean, but for what Terraform makes
	release := pipeRun("--pipe", "release", "--version", "2", "--set", "qa_watch=0s", "--set", "prod_watch=0s")
	if len(release.Steps) != 7 || release.Steps[3].Environment != "prod" {
		t.Errorf("got %+v", release)
	}
	for stage, number := range map[string]int64{"passed_test": 2, "passed_qa": 2, "prod": 2} {
		got, err := e.Store.Promotions(t.Context(), builddata.PromotionQuery{Service: "quince", Stage: stage, Limit: 1})
		if err != nil || len(got) != 1 || got[0].Number != number {
			t.Errorf("%s: got %+v and %v", stage, got, err)
		}
	}
	if out := run(installed.Delivery, "rollout", "status", "quince/prod"); !strings.Contains(out, "serves     version 2") ||
		strings.Contains(out, "differs from what was tested") {
		t.Errorf("got\n%s", out)
	}
}

func replace(t *testing.T, path string, by func(text string) string) {
	t.Helper()
	text, err := os.ReadFile(path)
	fatal(t, err)
	changed := by(string(text))
	if changed == string(text) {
		t.Fatalf("%s has not changed", path)
	}
	fatal(t, os.WriteFile(path, []byte(changed), 0o600))
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
