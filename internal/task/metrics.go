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
func (r *Registry) metrics() pipe.Definition {
	return pipe.Definition{
		Type: "report.metrics", BestEffort: true,
		Summary: "Sends how the run and its steps ended, and how many milliseconds they took, to StatsD or Graphite.",
		Arguments: []pipe.Argument{
			{Name: "address", Kind: pipe.Text, Required: true, Summary: "The server, as host:port."},
			{
				Name: "protocol", Kind: pipe.Text, OneOf: []string{"statsd", "graphite"},
				Summary: "The protocol: statsd (the default, by UDP) or graphite (its plaintext protocol, by TCP).",
			},
			{
				Name: "prefix", Kind: pipe.Text,
				Summary: "The prefix of the metrics' names, by default delivery: PREFIX.SERVICE.PIPE.step.STEP.duration.",
			},
			requiredArgument,
		},
		Run: r.runMetrics,
		Mock: mock(nil, func(c *pipe.Call) string {
			return "send metrics to " + c.Args.Text("address")
		}),
	}
}

// metric is a counter or a timer.
type metric struct {
	name  string
	value int64
	timer bool
}

// maxDatagram is the size of a datagram that most networks do not fragment.
const maxDatagram = 1432

func (r *Registry) runMetrics(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
	address := c.Args.Text("address")
	_, _, err := net.SplitHostPort(address)
	if err != nil {
		err = fmt.Errorf("address: %q is not a valid address: expected host:port, such as statsd.example.com:8125", address)
		return delivered(ctx, c, "", err)
	}
	all := metricsOf(cmp.Or(c.Args.Text("prefix"), "delivery"), c.Run, c.Mask)
	bounded, cancel := withTimeout(ctx)
	defer cancel()
	if c.Args.Text("protocol") != "graphite" {
		err = sendTo(bounded, "udp", address, statsd(all))
	} else {
		err = sendTo(bounded, "tcp", address, [][]byte{graphite(all, r.Clock.Now())})
	}
	return delivered(ctx, c, fmt.Sprintf("sent %s to %s", text.Count(len(all), "metric"), address), err)
}

// metricsOf returns the metrics of a run and its steps, except for steps that were
// skipped or are running.
func metricsOf(prefix string, s pipe.Summary, mask func(string) string) (all []metric) {
	segment := func(name string) string { return segment(mask(name)) }
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

// segment replaces what may not be in a part of a metric's name.
func segment(s string) string {
	return cmp.Or(strings.Trim(notInSegment.ReplaceAllString(s, "_"), "_"), "_")
}

// statsd encodes metrics as datagrams.
func statsd(all []metric) (packets [][]byte) {
	var packet []byte
	for _, m := range all {
		kind := "c"
		if m.timer {
			kind = "ms"
		}
		line := fmt.Appendf(nil, "%s:%d|%s", m.name, m.value, kind)
		if len(packet) > 0 && len(packet)+1+len(line) > maxDatagram {
			packets, packet = append(packets, packet), nil
		}
		if len(packet) > 0 {
			packet = append(packet, '\n')
		}
		packet = append(packet, line...)
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

// sendTo writes each packet. The protocols have no answers.
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
	return fmt.Errorf("send metrics to %s: %w", address, err)
}
