package awscloud

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// lazy opens AWS on first use, and again until that succeeds.
type lazy struct {
	config Config
	mu     sync.Mutex
	opened *Cloud
}

func (l *lazy) open(ctx context.Context) (*Cloud, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.opened != nil {
		return l.opened, nil
	}
	cloud, err := Open(ctx, l.config)
	if err == nil {
		l.opened = cloud
	}
	return cloud, err
}

// bucketLogs stores each log as an object in an S3 bucket.
type bucketLogs struct {
	cloud          lazy
	bucket, prefix string
}

// NewBucketLogs returns a store for the logs of steps in an S3 bucket, below a prefix. It
// opens AWS on first use.
func NewBucketLogs(c Config, bucket, prefix string) pipe.LogStore {
	return &bucketLogs{cloud: lazy{config: c}, bucket: bucket, prefix: prefix}
}

// Send implements pipe.LogStore. The address is s3://BUCKET/PREFIX/SERVICE/RUN/STEP.log.
func (b *bucketLogs) Send(ctx context.Context, l pipe.Log) (address string, err error) {
	cloud, err := b.cloud.open(ctx)
	if err != nil {
		return "", err
	}
	key := path.Join(b.prefix, l.Name)
	if err := (&Files{cloud: cloud}).Upload(ctx, b.bucket, key, "text/plain; charset=utf-8", l.Content); err != nil {
		return "", err
	}
	return "s3://" + b.bucket + "/" + key, nil
}

const (
	codeNoLogGroup      = "ResourceNotFoundException"
	codeLogStreamExists = "ResourceAlreadyExistsException"
)

// groupLogs stores each log as a stream of a log group in CloudWatch Logs.
type groupLogs struct {
	cloud lazy
	group string
}

// NewGroupLogs returns a store for the logs of steps in a log group of CloudWatch Logs,
// which must exist. It opens AWS on first use.
func NewGroupLogs(c Config, group string) pipe.LogStore {
	return &groupLogs{cloud: lazy{config: c}, group: group}
}

// Send implements pipe.LogStore. The address is cloudwatch://GROUP with the parameters
// region and stream. All lines have the time at which the step ended.
func (g *groupLogs) Send(ctx context.Context, l pipe.Log) (address string, err error) {
	cloud, err := g.cloud.open(ctx)
	if err != nil {
		return "", err
	}
	logs := cloudwatchlogs.NewFromConfig(cloud.config, func(o *cloudwatchlogs.Options) {
		override(&o.BaseEndpoint, cloud.endpoints[endpointLogs])
	})
	_, err = logs.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &g.group, LogStreamName: &l.Name})
	switch {
	case hasCode(err, codeNoLogGroup):
		return "", fmt.Errorf("there is no log group %s in %s: create it: %w", g.group, cloud.region, err)
	case err != nil && !hasCode(err, codeLogStreamExists):
		return "", fmt.Errorf("create a stream in the log group %s: %w", g.group, err)
	}
	to := url.URL{
		Scheme: "cloudwatch", Opaque: "//" + (&url.URL{Path: g.group}).EscapedPath(),
		RawQuery: "region=" + url.QueryEscape(cloud.region) + "&stream=" + (&url.URL{Path: l.Name}).EscapedPath(),
	}
	for lines, err := range l.Batches() {
		if err == nil {
			err = g.put(ctx, logs, l, lines)
		}
		if err != nil {
			return address, fmt.Errorf("send to the log group %s: %w", g.group, err)
		}
		address = to.String()
	}
	return address, nil
}

func (g *groupLogs) put(ctx context.Context, logs *cloudwatchlogs.Client, l pipe.Log, lines []string) error {
	events := make([]types.InputLogEvent, len(lines))
	for i, line := range lines {
		if line == "" {
			line = " " // an event cannot be empty
		}
		events[i] = types.InputLogEvent{Message: &line, Timestamp: aws.Int64(l.At.UnixMilli())}
	}
	out, err := logs.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: &g.group, LogStreamName: &l.Name, LogEvents: events})
	if err == nil && out.RejectedLogEventsInfo != nil {
		err = errors.New("CloudWatch Logs rejected lines: the clock of this machine is not right, " +
			"or the log group retains events for less time than the machine needs to send them")
	}
	return err
}
