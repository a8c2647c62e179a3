package task

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// metrics counts and times the run and its steps.
func (l *Library) metrics() pipe.Definition {
	return pipe.Definition{
		Type: "report.metrics", Courtesy: true, Summary: "Sends how the run and its steps ended, and how many milliseconds they took, to StatsD or Graphite.",
		Arguments: []pipe.Argument{
			{Name: "address", Kind: pipe.Text, Required: true, Summary: "Where metrics are taken, as host:port."},
			{Name: "protocol", Kind: pipe.Text, OneOf: []string{"statsd", "graphite"}, Summary: "How they are sent: statsd (the default, by UDP) or graphite (its plaintext protocol, by TCP)."},
			{Name: "prefix", Kind: pipe.Text, Summary: "What their names begin with, by default delivery: PREFIX.SERVICE.PIPE.step.STEP.duration."},
			requiredArgument,
		},
		Run: l.runMetrics,
		Mock: mock(nil, func(c *pipe.Call) string {
			return "send metrics to " + c.Args.Text("address")
		}),
	}
}

// metric is what is counted or timed.
type metric struct {
	name  string
	value int64
	timer bool
}

// datagram is what passes through networks in one piece.
const datagram = 1432

func (l *Library) runMetrics(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
	address := c.Args.Text("address")
	_, _, err := net.SplitHostPort(address)
	if err != nil {
		return delivered(ctx, c, "", fmt.Errorf("address: %q has not the form host:port, as in statsd.example.com:8125", address))
	}
	all := metricsOf(cmp.Or(c.Args.Text("prefix"), "delivery"), c.Run)
	bounded, cancel := withPatience(ctx)
	defer cancel()
	if c.Args.Text("protocol") != "graphite" {
		err = sendTo(bounded, "udp", address, statsd(all))
	} else {
		err = sendTo(bounded, "tcp", address, [][]byte{graphite(all, l.Clock.Now())})
	}
	return delivered(ctx, c, fmt.Sprintf("sent %s to %s", text.Count(len(all), "metric"), address), err)
}

// metricsOf lists what is to be told of a run. Steps that were left out or are
// at work are not.
func metricsOf(prefix string, s pipe.Summary) (all []metric) {
	root := strings.Trim(notInPath.ReplaceAllString(prefix, "_"), ".") + "." + segment(s.Service) + "." + segment(s.Pipe)
	add := func(name string, status builddata.Status, took time.Duration) {
		if status == builddata.Started || status == pipe.Skipped {
			return
		}
		all = append(all,
			metric{name: name + ".duration", value: max(0, took.Milliseconds()), timer: true},
			metric{name: name + "." + segment(string(status)), value: 1})
	}
	for _, step := range s.Steps {
		add(root+".step."+segment(step.Name), step.Status, step.Elapsed)
	}
	add(root, s.Status, s.Elapsed)
	return all
}

var (
	notInPath    = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)
	notInSegment = regexp.MustCompile(`[^A-Za-z0-9_-]+`)
)

// segment makes a text a part of a metric's name.
func segment(s string) string {
	return cmp.Or(strings.Trim(notInSegment.ReplaceAllString(s, "_"), "_"), "_")
}

// statsd packs metrics into datagrams.
func statsd(all []metric) (packets [][]byte) {
	var packet []byte
	for _, m := range all {
		kind := "c"
		if m.timer {
			kind = "ms"
		}
		text := fmt.Appendf(nil, "%s:%d|%s", m.name, m.value, kind)
		if len(packet) > 0 && len(packet)+1+len(text) > datagram {
			packets, packet = append(packets, packet), nil
		}
		if len(packet) > 0 {
			packet = append(packet, '\n')
		}
		packet = append(packet, text...)
	}
	if len(packet) > 0 {
		packets = append(packets, packet)
	}
	return packets
}

func graphite(all []metric, now time.Time) []byte {
	var b bytes.Buffer
	for _, m := range all {
		fmt.Fprintf(&b, "%s %d %d\n", m.name, m.value, now.Unix())
	}
	return b.Bytes()
}

// sendTo writes each packet, and does not wait for an answer, since there is none.
func sendTo(ctx context.Context, network, address string, packets [][]byte) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, address)
	if err == nil {
		longAgo := time.Unix(1, 0)
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(longAgo) })
		defer stop()
		for packet := range slices.Values(packets) {
			if _, err = conn.Write(packet); err != nil {
				break
			}
		}
		err = errors.Join(err, conn.Close())
	}
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return fmt.Errorf("the metrics to %s: %w", address, err)
}
