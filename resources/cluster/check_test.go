package cluster_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/acctest"
)

// TestAccCluster_Checked rolls out by a check that stands for the service.
func TestAccCluster_Checked(t *testing.T) {
	e := acctest.New(t)
	var status atomic.Int64
	var asked atomic.Value
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.Host + r.URL.Path + " " + r.Header.Get("X-Preview") + " " + r.Header.Get("Authorization"))
		w.WriteHeader(int(status.Load()))
		_, _ = fmt.Fprintln(w, "asked with", r.Header.Get("X-Preview"), r.Header.Get("Authorization"))
	}))
	t.Cleanup(service.Close)
	checked := arguments{"rollout": fmt.Sprintf(`{
		drain = "0s"
		preview = { http_header = { name = "X-Preview", value = "open sesame" }, url = %q }
		check = { path = "/buy", headers = { Authorization = "hunter22" }, body_contains = "asked", within = "0s" }
		target_alarms = { errors_5xx = 0, latency = "800ms" }
		observe_for = "1m"
	}`, service.URL)}
	fast := arguments{"rollout": strings.NewReplacer(`target_alarms = { errors_5xx = 0, latency = "800ms" }`, "", `observe_for = "1m"`, "").
		Replace(checked["rollout"])}
	test(t, e,
		resource.TestStep{Config: config(e)},
		// Plans only, because it would be observed for a minute.
		resource.TestStep{Config: config(e, next, checked), PlanOnly: true, ExpectNonEmptyPlan: true},
		resource.TestStep{
			PreConfig: func() { status.Store(500) },
			Config:    config(e, next, fast),
			ExpectError: says(`check "GET /buy": expected status 200-299, got status 500 with the body "asked with (hidden) (hidden)". ` +
				`State now: version 17 serves with 2 of 2 servers healthy; nothing is left that was made for this rollout`),
		},
		resource.TestStep{
			PreConfig: func() {
				if want := "strawberry-test.example.com/buy open sesame hunter22"; asked.Load() != want {
					t.Errorf("the check asked %v, want %q", asked.Load(), want)
				}
				fatal(t, forwards(t, e, "100 strawberry-test-*=100\ndefault fixed-response 404")(nil))
				status.Store(204)
			},
			// A change of the checks alone rolls nothing out.
			Config:           config(e, fast),
			ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
		},
		resource.TestStep{
			PreConfig: func() { status.Store(200) },
			Config:    config(e, next, fast), ConfigPlanChecks: plans("17", "18"), Check: only(t, e, "18", 2),
		},
	)
}

// TestAccCluster_CheckRefused: what a plan can refuse.
func TestAccCluster_CheckRefused(t *testing.T) {
	e := acctest.New(t)
	const preview = `preview = { http_header = { name = "X-Preview", value = "open sesame" } }, `
	rollout := func(text string) arguments { return arguments{"rollout": "{ drain = \"0s\", " + text + " }"} }
	var steps []resource.TestStep
	for _, c := range []struct {
		changes []arguments
		says    string
	}{
		{[]arguments{rollout(`check = { path = "/" }`)}, "checks need a preview, because nothing else reaches the new servers alone"},
		{[]arguments{rollout(preview + `check = { path = "/" }`), worker}, "a worker cluster gets no requests, so it has no preview"},
		{[]arguments{rollout(`check = { path = "/" }`), worker}, "a worker cluster gets no requests; check it with a command"},
		{[]arguments{rollout(`target_alarms = { errors_5xx = 1 }`), worker}, "observe_for is 0s, but target_alarms need 1m0s to fire"},
		{[]arguments{rollout(`observe_for = "1m", target_alarms = { errors_5xx = 1, evaluation_periods = 2 }`)}, "target_alarms need 2m0s to fire"},
		{[]arguments{rollout(`observe_for = "1m", target_alarms = { period = "60s" }`)}, "give at least one of errors_5xx, latency and unhealthy_servers"},
		{[]arguments{rollout(`preview = { url = "http://x.example.com" }`)}, "give either http_header or host"},
		{[]arguments{rollout(preview + `check = { path = "buy" }`)}, "the path must begin with a slash"},
		{[]arguments{rollout(preview + `check = { path = "/", status = "20x" }`)}, `the matcher "20x" is not valid`},
		{[]arguments{rollout(preview + `check = { command = ["./smoke.sh"], status = "200" }`)}, "a command takes no path, method, headers, status"},
		{[]arguments{rollout(preview + `check = { path = "/", headers = { Host = "other.example.com" } }`)}, "does not select this request"},
		{[]arguments{rollout(`preview = { host = "strawberry-test.example.com" }`)}, "users' requests would reach the preview"},
		{[]arguments{rollout(`preview = { host = "p.example.com", priority = 100 }`)}, "it must be lower than 100"},
		{[]arguments{rollout(preview), {"listener_rule": `{ priority = 1, hosts = ["a.example.com"] }`}}, "no priority from 1 to 0 is free"},
		{[]arguments{rollout(preview), {"listener_rule": `{ priority = 9, paths = ["/1", "/2", "/3", "/4", "/5"] }`}},
			"has 6 values in its conditions, but a load balancer allows at most 5"},
	} {
		steps = append(steps, resource.TestStep{Config: config(e, c.changes...), PlanOnly: true, ExpectError: says(c.says)})
	}
	test(t, e, steps...)
}
