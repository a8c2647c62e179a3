package main

import (
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
)

// An expression in single quotes is refused before anything runs. What is printed as a command
// is what the shell got.
func TestRun_ExpressionsInQuotes(t *testing.T) {
	c := newCheckout(t, `
- {name: version, do: init.version}
- name: announce
  do: build.command
  command: echo 'version ${{ version }} is out'
`)
	for _, args := range [][]string{{"run"}, {"run", "--mock"}, {"pipe", "test"}} {
		code, _, stderr := c.delivery(t, args...)
		if code != exitcode.Usage {
			t.Errorf("%v: got exit code %d", args, code)
		}
		contains(t, stderr, `pipes/app.yml:5:12: step "announce": argument command of build.command: `+
			"${{ version }} has no effect in line 1 of the command: it is in single quotes")
	}
	c.write(t, "pipes/app.yml", `
- {name: version, do: init.version}
- {name: announce, do: build.command, command: "echo 'version '\"${{ version }}\"' is out'"}
`)
	c.push(t)
	code, _, stderr := c.delivery(t, "run", "-v")
	if code != 0 {
		t.Fatalf("got exit code %d: %s", code, stderr)
	}
	contains(t, stderr, `$ echo 'version '"${DELIVERY_VALUE_VERSION}"' is out'`, "  DELIVERY_VALUE_VERSION=1\n", "version 1 is out\n")
}
