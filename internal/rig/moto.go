package rig

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/schemas"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/transport/http/protocol/awsquery"
)

// Moto is a running moto server, the independent emulator of AWS.
type Moto struct {
	// URL is its endpoint, for every AWS service.
	URL string

	cmd   *exec.Cmd
	leash io.Closer
	log   *bytes.Buffer
}

// serve runs moto until its standard input ends, so that it always ends with the
// process that started it.
const serve = `
import os, sys, threading
def leash():
    sys.stdin.read()
    os._exit(0)
threading.Thread(target=leash, daemon=True).start()
from moto.server import main
main(sys.argv[1:])
`

// StartMoto starts moto on a free port and waits until it answers.
func StartMoto(ctx context.Context) (*Moto, error) {
	python, err := Tool("moto/bin/python")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, fmt.Errorf("start moto: %w", err)
	}
	m := &Moto{URL: "http://127.0.0.1:" + port, log: &bytes.Buffer{}}
	m.cmd = exec.Command(python, "-c", serve, "-H", "127.0.0.1", "-p", port)
	m.cmd.Stdout, m.cmd.Stderr = m.log, m.log
	m.cmd.Env = append(os.Environ(), "MOTO_AMIS_PATH="+filepath.Join(Root(), "internal", "rig", "images.json"))
	Separate(m.cmd)
	if m.leash, err = m.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start moto: %w", err)
	}
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start moto: %w", err)
	}
	for range 600 {
		resp, err := http.Get(m.URL + "/moto-api/")
		if err == nil {
			_ = resp.Body.Close()
			return m, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("start moto: %w", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
	_ = m.Close()
	return nil, fmt.Errorf("start moto: no answer within 30s; its output:\n%s", m.log)
}

func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return "", err
	}
	return port, listener.Close()
}

// Close ends moto.
func (m *Moto) Close() error {
	if err := m.leash.Close(); err != nil {
		return err
	}
	_ = m.cmd.Wait() // an error is that it was killed
	return nil
}

// Account is an AWS account of its own in a moto server. Tests that each use
// one can run in parallel.
type Account struct {
	// ID is its twelve digits.
	ID string
	// Endpoint is the URL of its services.
	Endpoint string
	// Credentials are those of the account.
	Credentials aws.Credentials
}

// RoleARN is a role of the account that any credentials can assume.
func (a Account) RoleARN() string { return "arn:aws:iam::" + a.ID + ":role/test" }

// Environ returns the environment variables that make the AWS SDKs, and so
// Terraform and Packer, use the account.
func (a Account) Environ() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + a.Endpoint,
		"AWS_ACCESS_KEY_ID=" + a.Credentials.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY=" + a.Credentials.SecretAccessKey,
		"AWS_SESSION_TOKEN=" + a.Credentials.SessionToken,
		"AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=" + os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
	}
}

// Config returns an SDK configuration for the account.
func (a Account) Config(region string) aws.Config {
	return aws.Config{
		Region:       region,
		BaseEndpoint: aws.String(a.Endpoint),
		Credentials:  credentials.StaticCredentialsProvider{Value: a.Credentials},
	}
}

// CloudWatch returns a client that speaks the protocol that moto knows.
func (a Account) CloudWatch(region string) *cloudwatch.Client {
	return cloudwatch.NewFromConfig(a.Config(region), func(o *cloudwatch.Options) {
		o.Protocol = awsquery.New(schemas.GraniteServiceVersion20100801)
	})
}

// Account returns a new, empty account.
func (m *Moto) Account(ctx context.Context) (Account, error) {
	a := Account{ID: strconv.FormatInt(100_000_000_000+rand.Int64N(900_000_000_000), 10), Endpoint: m.URL}
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithRegion("us-east-1"),
		config.WithBaseEndpoint(m.URL),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("test", "test", "")),
	)
	if err != nil {
		return Account{}, fmt.Errorf("open an account: %w", err)
	}
	out, err := sts.NewFromConfig(cfg).AssumeRole(ctx, &sts.AssumeRoleInput{
		RoleArn: aws.String(a.RoleARN()), RoleSessionName: aws.String("rig"),
	})
	if err != nil {
		return Account{}, fmt.Errorf("open an account: %w", err)
	}
	a.Credentials = aws.Credentials{
		AccessKeyID:     *out.Credentials.AccessKeyId,
		SecretAccessKey: *out.Credentials.SecretAccessKey,
		SessionToken:    *out.Credentials.SessionToken,
	}
	return a, nil
}

// Shared starts one moto for a whole test binary, on first use.
var Shared = sync.OnceValues(func() (*Moto, error) { return StartMoto(context.Background()) })
