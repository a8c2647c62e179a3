package main

import (
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// noCI clears the variables of the CI system in which the tests may run.
func noCI(t *testing.T) {
	t.Helper()
	for _, name := range []string{"GITHUB_SHA", "GITHUB_REF", "GITHUB_HEAD_REF", "CI_COMMIT_SHA", "CI_COMMIT_BRANCH"} {
		t.Setenv(name, "")
	}
}

// A promotion only from main happens from main, and from no other checkout.
func TestRun_OnlyFromMain(t *testing.T) {
	noCI(t)
	c := newCheckout(t, `
- {name: version, do: init.version}
- {name: promote, do: release.promote, stage: prod, requires: [], when: "${{ branch == 'main' }}"}
`)
	status := func() builddata.Status {
		t.Helper()
		return c.run(t, 0).Steps[1].Status
	}
	if got := status(); got != builddata.Succeeded {
		t.Errorf("got %s on main", got)
	}
	c.git(t, c.folder, "checkout", "--quiet", "--detach")
	if got := status(); got != pipe.Skipped {
		t.Errorf("got %s without a branch", got)
	}
	t.Setenv("GITHUB_REF", "refs/heads/main")
	t.Setenv("GITHUB_SHA", c.git(t, c.folder, "rev-parse", "HEAD"))
	if got := status(); got != builddata.Succeeded {
		t.Errorf("got %s in a build of main", got)
	}
	t.Setenv("GITHUB_HEAD_REF", "main")
	if got := status(); got != pipe.Skipped {
		t.Errorf("got %s in a pull request", got)
	}
	t.Setenv("GITHUB_HEAD_REF", "")
	c.git(t, c.folder, "switch", "--quiet", "-c", "feature")
	if got := status(); got != pipe.Skipped {
		t.Errorf("got %s on another branch", got)
	}

	c.write(t, "pipes/app.yml", `
- {name: version, do: init.version}
- {name: promote, do: release.promote, stage: prod, requires: [], when: "${{ branch }} == main"}
`)
	c.push(t)
	code, _, stderr := c.delivery(t, "run")
	if code != exitcode.Usage {
		t.Errorf("got exit code %d", code)
	}
	contains(t, stderr, "pipes/app.yml:3:73: when has to be exactly one expression, without text around it",
		"as in when: ${{ branch == 'main' }}")
}
