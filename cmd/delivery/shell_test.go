package main

import (
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
)

// A command of several lines fails with the first of them, also in a built-in pipe.
func TestRun_CommandStopsAtFirstFailure(t *testing.T) {
	c := newCheckout(t, `
- {name: version, do: init.version}
- {name: build, do: build.command, command: "false\necho built"}
`)
	code, _, stderr := c.delivery(t, "run")
	if code != exitcode.Failed {
		t.Errorf("got exit code %d", code)
	}
	contains(t, stderr, "build failed")
	c.write(t, ".delivery.yml", "pipe: ci\nservice: strawberry\nbuild: |\n  false\n  echo built\ntest: 'true'\n")
	c.push(t)
	code, out, stderr := c.delivery(t, "run")
	if code != exitcode.Failed {
		t.Errorf("got exit code %d", code)
	}
	contains(t, out, `ci of strawberry 2 failed at "build"`)
	contains(t, stderr, "build | sh -e", "$ false", "build failed")
}
