package cluster

import (
	"errors"
	"fmt"
	"regexp"
	"time"
)

// TargetAlarms specifies alarms on the target group of one generation. Each fires above its
// threshold, in every one of EvaluationPeriods periods. Missing data is good: a target group
// without requests has neither errors nor latency.
type TargetAlarms struct {
	// Errors5xx is the number of answers of the servers with a status of 500 and above in one
	// period; nil makes no such alarm.
	Errors5xx *int32 `json:"errors_5xx,omitempty"`
	// Latency is the time that the servers take to answer, by LatencyStatistic; 0 makes no
	// such alarm.
	Latency          time.Duration `json:"latency_ns,omitempty"`
	LatencyStatistic string        `json:"latency_statistic,omitempty"` // p95, Average
	// UnhealthyServers is the number of servers; nil makes no such alarm.
	UnhealthyServers *int32 `json:"unhealthy_servers,omitempty"`

	Period            time.Duration `json:"period_ns"`
	EvaluationPeriods int32         `json:"evaluation_periods"`
}

// The suffixes of the names of the alarms, after the name of their generation.
const (
	SuffixErrors    = "-5xx"
	SuffixLatency   = "-latency"
	SuffixUnhealthy = "-unhealthy"
)

// StatisticPattern describes LatencyStatistic,
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html.
var StatisticPattern = regexp.MustCompile(`^(Average|p[1-9][0-9]?(\.[0-9])?)$`)

// Window is the time that an alarm looks back to.
func (t TargetAlarms) Window() time.Duration { return time.Duration(t.EvaluationPeriods) * t.Period }

// Names are those of the alarms of a generation.
func (t TargetAlarms) Names(g Generation) []string {
	var names []string
	if t.Errors5xx != nil {
		names = append(names, g.Name+SuffixErrors)
	}
	if t.Latency > 0 {
		names = append(names, g.Name+SuffixLatency)
	}
	if t.UnhealthyServers != nil {
		names = append(names, g.Name+SuffixUnhealthy)
	}
	return names
}

// maxWindow is CloudWatch's limit of the periods that an alarm evaluates together,
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html.
const maxWindow = 24 * time.Hour

// Validate reports alarms that CloudWatch would refuse, or that could never fire. Load
// balancers report once a minute,
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html.
func (t TargetAlarms) Validate() error {
	var errs []error
	if t.Errors5xx == nil && t.Latency == 0 && t.UnhealthyServers == nil {
		errs = append(errs, errors.New("target_alarms: give at least one of errors_5xx, latency and unhealthy_servers"))
	}
	if t.Period < time.Minute || t.Period%time.Minute != 0 {
		errs = append(errs, fmt.Errorf("target_alarms: the period is %s, but whole minutes are needed: load balancers report once a minute",
			t.Period))
	}
	if t.Window() > maxWindow {
		errs = append(errs, fmt.Errorf("target_alarms: %d periods of %s are longer than a day, which is the longest that CloudWatch evaluates",
			t.EvaluationPeriods, t.Period))
	}
	return errors.Join(errs...)
}
