package main

import (
	"encoding/json"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// A step that may fail is shown and recorded as failed, and does not count for a promotion.
func TestRun_AllowFailure(t *testing.T) {
	c := newCheckout(t, `
main:
- {name: version, do: init.version}
- {name: style, do: test.command, command: "echo a.go:1; exit 3", allow_failure: true, outputs: [issues]}
- {name: describe, do: build.command, command: "echo found ${{ issues ?? 'unknown' }}"}
- {name: promote, do: release.promote, stage: checked, requires: [style], when: "${{ promote ?? '' }}"}
last:
- {name: tell, do: build.command, command: "echo ended as ${{ status }} at ${{ failed_step ?? 'none' }}."}
`)
	code, out, said := c.delivery(t, "run")
	if code != 0 {
		t.Fatalf("got exit code %d: %s", code, said)
	}
	contains(t, said, "style failed in ", " (allow_failure): exit code 3", "ended as succeeded at none.")
	contains(t, out, "app of strawberry 1 succeeded in ", ", although style failed (run ",
		`"style" failed, which allow_failure allows: exit code 3`, "Complete output: ")
	_, out, _ = c.delivery(t, "run", "list")
	contains(t, out, "succeeded", "although style failed")

	code, out, said = c.delivery(t, "run", "--output", "json")
	var summary pipe.Summary
	if err := json.Unmarshal([]byte(out), &summary); err != nil || code != 0 {
		t.Fatalf("%v, exit code %d: %s", err, code, said)
	}
	if !summary.Steps[1].AllowedFailure || summary.Steps[1].Status != "failed" || summary.Message != "although style failed" {
		t.Errorf("got %+v", summary)
	}

	code, out, said = c.delivery(t, "run", "--set", "promote=yes")
	if code != exitcode.Failed {
		t.Fatalf("got exit code %d: %s", code, said)
	}
	contains(t, out, `failed at "promote"`, `"style" failed as well, which allow_failure allows: exit code 3`)

	// Alone, it is what the run is for.
	code, out, said = c.delivery(t, "run", "--run-task", "style")
	if code != exitcode.Failed {
		t.Errorf("got exit code %d: %s%s", code, said, out)
	}
	_, _, said = c.delivery(t, "run", "--run-task", "tell", "--version", "1")
	contains(t, said, "ended as succeeded at none.")
}
