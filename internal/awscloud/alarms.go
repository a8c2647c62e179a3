package awscloud

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// maxAlarmNames is the most alarms that one call takes,
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html.
const maxAlarmNames = 100

// Alarms implements cluster.Alarms. By default, AWS returns metric alarms only, so it asks for
// composite alarms as well. It asks for log alarms only if a name is neither: they are new, and a
// region without them might refuse the question.
func (c *Cloud) Alarms(ctx context.Context, names []string) ([]cluster.Alarm, error) {
	found := map[string]cluster.Alarm{}
	if err := c.findAlarms(ctx, names, found, types.AlarmTypeMetricAlarm, types.AlarmTypeCompositeAlarm); err != nil {
		return nil, err
	}
	missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool { _, ok := found[name]; return ok })
	if err := c.findAlarms(ctx, missing, found, types.AlarmTypeLogAlarm); err != nil {
		return nil, err
	}
	all := make([]cluster.Alarm, len(names))
	for i, name := range names {
		a, ok := found[name]
		if !ok {
			a = cluster.Alarm{Name: name, State: cluster.AlarmMissing}
		}
		all[i] = a
	}
	return all, nil
}

// findAlarms adds the alarms of these types to found.
func (c *Cloud) findAlarms(ctx context.Context, names []string, found map[string]cluster.Alarm, of ...types.AlarmType) error {
	for batch := range slices.Chunk(names, maxAlarmNames) {
		pages := cloudwatch.NewDescribeAlarmsPaginator(c.cloudwatch, &cloudwatch.DescribeAlarmsInput{AlarmNames: batch, AlarmTypes: of})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return fmt.Errorf("read alarms: %w", err)
			}
			for _, a := range page.MetricAlarms {
				found[aws.ToString(a.AlarmName)] = alarm(a.AlarmName, a.StateValue, a.StateReason)
			}
			for _, a := range page.CompositeAlarms {
				found[aws.ToString(a.AlarmName)] = alarm(a.AlarmName, a.StateValue, a.StateReason)
			}
			for _, a := range page.LogAlarms {
				found[aws.ToString(a.AlarmName)] = alarm(a.AlarmName, a.StateValue, a.StateReason)
			}
		}
	}
	return nil
}

// alarm keeps the state as it is: the domain uses CloudWatch's words.
func alarm(name *string, state types.StateValue, reason *string) cluster.Alarm {
	return cluster.Alarm{Name: aws.ToString(name), State: cluster.AlarmState(state), Reason: aws.ToString(reason)}
}
