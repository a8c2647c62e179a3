package rig

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// Limits of what Options.Speed does to health checks, since the machine does not
// get faster.
const (
	shortestInterval = 20 * time.Millisecond
	shortestTimeout  = time.Second
)

// check checks a target's health until its context ends, the first time at once.
func (d *DataPlane) check(ctx context.Context, g *targetGroup, t *target) {
	for {
		d.mu.Lock()
		s := g.settings
		d.mu.Unlock()
		next := time.Now().Add(max(s.interval, shortestInterval))
		failure := d.probe(ctx, s, t.address)
		d.mu.Lock()
		if ctx.Err() == nil {
			t.record(s, failure)
		}
		d.mu.Unlock()
		if !pause(ctx, time.Until(next)) {
			return
		}
	}
}

// probe is one health check; nil means success.
func (d *DataPlane) probe(ctx context.Context, s settings, address string) *health {
	ctx, cancel := context.WithTimeout(ctx, max(s.timeout, shortestTimeout))
	defer cancel()
	failure := func(reason elbtypes.TargetHealthReasonEnum, description string) *health {
		return &health{elbtypes.TargetHealthStateEnumUnhealthy, reason, description}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+s.path, nil)
	if err != nil {
		return failure(elbtypes.TargetHealthReasonEnumFailedHealthChecks, "Health checks failed")
	}
	req.Header.Set("User-Agent", checker+".0")
	resp, err := d.checks.RoundTrip(req)
	switch {
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded):
		return failure(elbtypes.TargetHealthReasonEnumTimeout, "Request timed out")
	case err != nil:
		return failure(elbtypes.TargetHealthReasonEnumFailedHealthChecks, "Health checks failed")
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if !matches(s.matcher, resp.StatusCode) {
		return failure(elbtypes.TargetHealthReasonEnumResponseCodeMismatch,
			fmt.Sprintf("Health checks failed with these codes: [%d]", resp.StatusCode))
	}
	return nil
}

// matches reports whether a status is in a target group's matcher: "200", "200,202"
// or "200-299".
func matches(matcher string, status int) bool {
	for part := range strings.SplitSeq(matcher, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			to = from
		}
		low, err1 := strconv.Atoi(from)
		high, err2 := strconv.Atoi(to)
		if err1 == nil && err2 == nil && low <= status && status <= high {
			return true
		}
	}
	return false
}

// answer answers DescribeTargetHealth instead of moto, in which every target is
// healthy. It leaves other calls, and those about an unknown target group, to moto.
func (d *DataPlane) answer(ctx context.Context, c Call) []byte {
	if c.Service != "elasticloadbalancing" || c.Action != "DescribeTargetHealth" {
		return nil
	}
	d.catchUp(ctx) // the target group may be new
	var ids []string
	for i := 1; c.Form.Has(fmt.Sprintf("Targets.member.%d.Id", i)); i++ {
		ids = append(ids, c.Form.Get(fmt.Sprintf("Targets.member.%d.Id", i)))
	}
	d.mu.Lock()
	g := d.groups[c.Form.Get("TargetGroupArn")]
	if g == nil {
		d.mu.Unlock()
		return nil
	}
	all := g.describe(ids)
	d.mu.Unlock()

	type targetDescription struct{ Id, Port string }
	type member struct {
		HealthCheckPort string
		Target          targetDescription
		TargetHealth    struct {
			State       string
			Reason      string `xml:",omitempty"`
			Description string `xml:",omitempty"`
		}
	}
	reply := struct {
		XMLName   xml.Name `xml:"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/ DescribeTargetHealthResponse"`
		Members   []member `xml:"DescribeTargetHealthResult>TargetHealthDescriptions>member"`
		RequestID string   `xml:"ResponseMetadata>RequestId"`
	}{RequestID: "rig"}
	for _, t := range all {
		m := member{HealthCheckPort: t.port, Target: targetDescription{t.id, t.port}}
		m.TargetHealth.State, m.TargetHealth.Reason, m.TargetHealth.Description = string(t.State), string(t.Reason), t.Description
		reply.Members = append(reply.Members, m)
	}
	body, err := xml.Marshal(reply)
	if err != nil {
		panic(err) // strings always encode
	}
	return body
}
