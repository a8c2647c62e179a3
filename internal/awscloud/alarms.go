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

// Alarms implements cluster.Alarms. It asks for every type of alarm: by default, AWS
// returns metric alarms only.
func (c *Cloud) Alarms(ctx context.Context, names []string) ([]cluster.Alarm, error) {
	found := map[string]cluster.Alarm{}
	for batch := range slices.Chunk(names, maxAlarmNames) {
		pages := cloudwatch.NewDescribeAlarmsPaginator(c.cloudwatch, &cloudwatch.DescribeAlarmsInput{
			AlarmNames: batch,
			AlarmTypes: []types.AlarmType{types.AlarmTypeMetricAlarm, types.AlarmTypeCompositeAlarm, types.AlarmTypeLogAlarm},
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, fmt.Errorf("read alarms: %w", err)
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

// alarm keeps the state as it is: the domain uses CloudWatch's words.
func alarm(name *string, state types.StateValue, reason *string) cluster.Alarm {
	return cluster.Alarm{Name: aws.ToString(name), State: cluster.AlarmState(state), Reason: aws.ToString(reason)}
}
