package awscloud

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// codeAlarmNotFound is CloudWatch's code for an alarm that does not exist.
const codeAlarmNotFound = "ResourceNotFound"

// MakeAlarms implements cluster.Cloud.
func (c *Cloud) MakeAlarms(ctx context.Context, g cluster.Generation, s cluster.Spec, t cluster.TargetAlarms) error {
	missing, err := c.missingAlarms(ctx, t.Names(g))
	if err != nil || len(missing) == 0 {
		return err
	}
	group, err := visible(ctx, "target group", g, c.targetGroup)
	if err != nil {
		return err
	}
	inputs, err := alarmInputs(g, s, t, aws.ToString(group.TargetGroupArn))
	if err != nil {
		return err
	}
	for _, in := range inputs {
		if !slices.Contains(missing, aws.ToString(in.AlarmName)) {
			continue
		}
		if _, err := c.cloudwatch.PutMetricAlarm(ctx, &in); err != nil {
			return fmt.Errorf("create alarm %s: %w", aws.ToString(in.AlarmName), err)
		}
	}
	if missing, err = c.missingAlarms(ctx, missing); err == nil && len(missing) > 0 {
		err = &cluster.NotYetError{Saw: "not visible yet: alarm " + strings.Join(missing, ", ")}
	}
	return err
}

// missingAlarms lists those of the alarms that do not exist, or are not visible yet.
func (c *Cloud) missingAlarms(ctx context.Context, names []string) ([]string, error) {
	alarms, err := c.Alarms(ctx, names)
	var missing []string
	for _, a := range alarms {
		if a.State == cluster.AlarmMissing {
			missing = append(missing, a.Name)
		}
	}
	return missing, err
}

// RemoveAlarms implements cluster.Cloud. AWS deletes none of them if one does not exist.
func (c *Cloud) RemoveAlarms(ctx context.Context, names []string) error {
	missing, err := c.missingAlarms(ctx, names)
	if err != nil {
		return err
	}
	there := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(missing, name) })
	for batch := range slices.Chunk(there, maxAlarmNames) {
		if _, err := c.cloudwatch.DeleteAlarms(ctx, &cloudwatch.DeleteAlarmsInput{AlarmNames: batch}); err != nil {
			return notYet(fmt.Errorf("delete alarms: %w", err), codeAlarmNotFound)
		}
	}
	return nil
}

// alarmInputs are the requests that make the alarms of a generation. The metrics are those of
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html.
func alarmInputs(
	g cluster.Generation, s cluster.Spec, t cluster.TargetAlarms, targetGroupARN string,
) ([]cloudwatch.PutMetricAlarmInput, error) {
	group, err := arn.Parse(targetGroupARN)
	if err != nil {
		return nil, fmt.Errorf("target group %s: %w", targetGroupARN, err)
	}
	balancer, err := balancerDimension(s.Listener.ARN)
	if err != nil {
		return nil, err
	}
	tags := alarmTags(g.Tags(s.Tags))
	alarm := func(suffix, metric string, threshold float64) cloudwatch.PutMetricAlarmInput {
		return cloudwatch.PutMetricAlarmInput{
			AlarmName:        aws.String(g.Name + suffix),
			AlarmDescription: aws.String(fmt.Sprintf("Watches the servers of a rollout of cluster %s, and is removed at its end.", g.Cluster)),
			Namespace:        aws.String("AWS/ApplicationELB"), MetricName: &metric,
			Dimensions: []types.Dimension{
				{Name: aws.String("LoadBalancer"), Value: &balancer}, {Name: aws.String("TargetGroup"), Value: &group.Resource},
			},
			Period: seconds(t.Period), EvaluationPeriods: &t.EvaluationPeriods,
			Threshold: &threshold, ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold,
			TreatMissingData: aws.String("notBreaching"),
			Tags:             tags,
		}
	}
	var inputs []cloudwatch.PutMetricAlarmInput
	if t.Errors5xx != nil {
		in := alarm(cluster.SuffixErrors, "HTTPCode_Target_5XX_Count", float64(*t.Errors5xx))
		in.Statistic = types.StatisticSum
		inputs = append(inputs, in)
	}
	if t.Latency > 0 {
		in := alarm(cluster.SuffixLatency, "TargetResponseTime", float64(t.Latency)/float64(time.Second))
		if strings.HasPrefix(t.LatencyStatistic, "p") {
			in.ExtendedStatistic = &t.LatencyStatistic
		} else {
			in.Statistic = types.Statistic(t.LatencyStatistic)
		}
		inputs = append(inputs, in)
	}
	if t.UnhealthyServers != nil {
		in := alarm(cluster.SuffixUnhealthy, "UnHealthyHostCount", float64(*t.UnhealthyServers))
		in.Statistic = types.StatisticMaximum
		inputs = append(inputs, in)
	}
	return inputs, nil
}

// balancerDimension is how metrics name the load balancer of a listener: app/NAME/ID, for
// listener/app/NAME/ID/LISTENER.
func balancerDimension(listenerARN string) (string, error) {
	parsed, err := arn.Parse(listenerARN)
	if err != nil {
		return "", fmt.Errorf("listener %s: %w", listenerARN, err)
	}
	name, ok := strings.CutPrefix(parsed.Resource, "listener/")
	end := strings.LastIndex(name, "/")
	if !ok || end < 0 {
		return "", fmt.Errorf("listener %s: its ARN does not name a load balancer", listenerARN)
	}
	return name[:end], nil
}
