// Package awscloud implements the domain's interfaces on AWS. It translates
// their methods into calls of the AWS SDK, and AWS's errors into ones that say
// what to do. It has no rules of its own.
package awscloud

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/schemas"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/transport/http/protocol/awsquery"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// Config says how to reach AWS. Empty fields have the defaults of every AWS tool:
// the environment, the shared configuration files, the machine's role.
type Config struct {
	Region     string
	Profile    string
	AssumeRole *AssumeRole
	// Endpoints replaces the address of single services, by the names in EndpointNames.
	Endpoints map[string]string
	// Clock is used for waits; nil is the machine's.
	Clock clock.Clock
}

// AssumeRole names a role to act as.
type AssumeRole struct {
	RoleARN     string
	SessionName string
	ExternalID  string
	// Duration of the session; 0 leaves AWS's default of one hour.
	Duration time.Duration
}

// The names of the services in Config.Endpoints.
const (
	endpointEC2         = "ec2"
	endpointAutoScaling = "autoscaling"
	endpointCloudWatch  = "cloudwatch"
	endpointELB         = "elasticloadbalancing"
	endpointLogs        = "logs"
	endpointS3          = "s3"
	endpointSTS         = "sts"
)

// EndpointNames are the services whose address Config.Endpoints may replace.
var EndpointNames = []string{endpointAutoScaling, endpointCloudWatch, endpointEC2, endpointELB, endpointLogs, endpointS3, endpointSTS}

// attempts is the most times that a call is tried when AWS throttles it or
// answers with a server error. The SDK waits up to 20 s in between, so a call
// succeeds after a minute of throttling unless its caller bounds it. The steps
// of a rollout do, and try again themselves. AWS_MAX_ATTEMPTS overrides it.
const attempts = 10

// Cloud is AWS in one region, as one identity.
type Cloud struct {
	region      string
	config      aws.Config
	endpoints   map[string]string
	clock       clock.Clock
	ec2         ec2Calls
	autoscaling *autoscaling.Client
	elb         *elb.Client
	cloudwatch  *cloudwatch.Client
	sts         *sts.Client

	account struct {
		sync.Mutex
		id string
	}
}

// Open finds region and credentials, and fails if there are none. It calls AWS
// only for the credentials of a role.
func Open(ctx context.Context, c Config) (*Cloud, error) {
	cfg, err := load(ctx, c)
	if err != nil {
		return nil, err
	}
	if c.AssumeRole != nil {
		client := sts.NewFromConfig(cfg, func(o *sts.Options) { override(&o.BaseEndpoint, c.Endpoints[endpointSTS]) })
		role := stscreds.NewAssumeRoleProvider(client, c.AssumeRole.RoleARN, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = c.AssumeRole.SessionName
			if c.AssumeRole.ExternalID != "" {
				o.ExternalID = &c.AssumeRole.ExternalID
			}
			o.Duration = c.AssumeRole.Duration
		})
		cfg.Credentials = aws.NewCredentialsCache(role)
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		if c.AssumeRole != nil {
			return nil, fmt.Errorf("no AWS credentials: the role %s could not be assumed: %w", c.AssumeRole.RoleARN, err)
		}
		return nil, fmt.Errorf("no AWS credentials were found in the environment, in the shared configuration files, "+
			"or from the machine's role; set AWS_PROFILE or sign in, then try again: %w", err)
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	return newCloud(cfg, c.Endpoints, c.Clock), nil
}

// load reads the configuration, which must name a region.
func load(ctx context.Context, c Config) (aws.Config, error) {
	options := []func(*config.LoadOptions) error{config.WithAppID("terraform-provider-delivery")}
	if c.Region != "" {
		options = append(options, config.WithRegion(c.Region))
	}
	if c.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(c.Profile))
	}
	if os.Getenv("AWS_MAX_ATTEMPTS") == "" {
		options = append(options, config.WithRetryMaxAttempts(attempts))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("read the AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		return aws.Config{}, fmt.Errorf("the AWS region is not known: set the argument region, AWS_REGION, or region in the profile")
	}
	return cfg, nil
}

func newCloud(cfg aws.Config, endpoints map[string]string, c clock.Clock) *Cloud {
	return &Cloud{
		region:    cfg.Region,
		config:    cfg,
		endpoints: endpoints,
		clock:     c,
		ec2:       newEC2Calls(ec2.NewFromConfig(cfg, func(o *ec2.Options) { override(&o.BaseEndpoint, endpoints[endpointEC2]) })),
		autoscaling: autoscaling.NewFromConfig(cfg, func(o *autoscaling.Options) {
			override(&o.BaseEndpoint, endpoints[endpointAutoScaling])
		}),
		elb: elb.NewFromConfig(cfg, func(o *elb.Options) { override(&o.BaseEndpoint, endpoints[endpointELB]) }),
		cloudwatch: cloudwatch.NewFromConfig(cfg, func(o *cloudwatch.Options) {
			override(&o.BaseEndpoint, endpoints[endpointCloudWatch])
			// CloudWatch's model names Query besides CBOR, the SDK's default, which moto does not know.
			o.Protocol = awsquery.New(schemas.GraniteServiceVersion20100801)
		}),
		sts: sts.NewFromConfig(cfg, func(o *sts.Options) { override(&o.BaseEndpoint, endpoints[endpointSTS]) }),
	}
}

func override(endpoint **string, with string) {
	if with != "" {
		*endpoint = &with
	}
}

// Region returns the region of this Cloud.
func (c *Cloud) Region() string { return c.region }

// Account implements cluster.Cloud. It asks AWS once, and needs no permission.
func (c *Cloud) Account(ctx context.Context) (string, error) {
	c.account.Lock()
	defer c.account.Unlock()
	if c.account.id != "" {
		return c.account.id, nil
	}
	out, err := c.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", fmt.Errorf("read the account of the credentials: %w", err)
	}
	c.account.id = aws.ToString(out.Account)
	return c.account.id, nil
}

// In returns the same identity in another region.
func (c *Cloud) In(region string) *Cloud {
	cfg := c.config.Copy()
	cfg.Region = region
	return newCloud(cfg, c.endpoints, c.clock)
}

var _ cluster.Cloud = (*Cloud)(nil)

// Region returns the region that Open would act in, without asking for credentials.
func Region(ctx context.Context, c Config) (string, error) {
	cfg, err := load(ctx, c)
	return cfg.Region, err
}
