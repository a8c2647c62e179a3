package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
)

// The command that runs a failed step again has the flags of the run, except for secrets.
func TestRun_RerunCommand(t *testing.T) {
	c := newCheckout(t, `
- {name: version, do: init.version}
- {name: "it's broken", do: build.command, command: "echo ${{ greeting }} $DELIVERY_REPOSITORY; false"}
`)
	t.Setenv("API_TOKEN", "tok-0123456789")
	elsewhere := c.repository() + "2"
	flags := []string{"-C", c.folder, "--repository", elsewhere, "--region", "eu-north-1", "--profile", "acme", "--set", "greeting=hello you",
		"--set", "a.b=1"}
	secret := []string{"--set", "code=abc", "--set", "header=Bearer tok-0123456789"}
	again := regexp.MustCompile(`Run just that step again, with the value of code, header in the place of …: [^\n]*:\n  (.*)\n`)
	for name, args := range map[string][]string{"All": nil, "To": {"--run-to", "it's broken"}} {
		t.Run(name, func(t *testing.T) {
			code, out, stderr := c.delivery(t, append(append(append([]string{"run"}, args...), flags...), secret...)...)
			if code != exitcode.Failed {
				t.Fatalf("got exit code %d: %s", code, stderr)
			}
			m := again.FindStringSubmatch(out)
			if m == nil {
				t.Fatal(out)
			}
			which := "--version " + regexp.MustCompile(`strawberry (\d+) failed`).FindStringSubmatch(out)[1]
			if args != nil {
				which = "--of " + regexp.MustCompile(`/logs/(\w+)/`).FindStringSubmatch(out)[1]
			}
			want := `delivery run --run-task 'it'\''s broken' ` + which + ` -C ` + c.folder + ` --repository ` + elsewhere +
				` --profile acme --region eu-north-1 --set a.b=1 --set 'greeting=hello you' --set code=… --set header=…`
			if m[1] != want {
				t.Errorf("got\n%s\nwant\n%s", m[1], want)
			}
			if strings.Contains(out, os.Getenv("API_TOKEN")) {
				t.Errorf("the output holds a secret:\n%s", out)
			}
		})
	}
}

// A warning is printed once, when it occurs.
func TestRun_WarnsOnce(t *testing.T) {
	c := newCheckout(t, "- {name: compile, do: build.command, command: \"sleep 600 & echo done\"}")
	code, out, stderr := c.delivery(t, "run")
	if code != 0 {
		t.Fatal(stderr)
	}
	if n := strings.Count(out+stderr, "left processes running"); n != 1 || strings.Contains(out, "arning") {
		t.Errorf("got the warning %d times:\n%s%s", n, stderr, out)
	}
}
