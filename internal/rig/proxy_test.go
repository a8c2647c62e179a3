package rig_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

const region = "eu-north-1"

func TestProxy_AnswersInTheServicesProtocol(t *testing.T) {
	proxy, cfg := startProxy(t)
	for _, tt := range []struct {
		service, action string
		call            func(context.Context) error
	}{
		{"ec2", "DescribeVpcs", func(ctx context.Context) error {
			_, err := ec2.NewFromConfig(cfg).DescribeVpcs(ctx, nil)
			return err
		}},
		{"autoscaling", "DescribeAutoScalingGroups", func(ctx context.Context) error {
			_, err := autoscaling.NewFromConfig(cfg).DescribeAutoScalingGroups(ctx, nil)
			return err
		}},
		{"elasticloadbalancing", "DescribeLoadBalancers", func(ctx context.Context) error {
			_, err := elb.NewFromConfig(cfg).DescribeLoadBalancers(ctx, nil)
			return err
		}},
	} {
		t.Run(tt.service, func(t *testing.T) {
			var seen []rig.Call
			proxy.Intercept(func(c rig.Call) *rig.Fault {
				c.Form = nil
				seen = append(seen, c)
				return &rig.Fault{Status: 503, Code: "RequestLimitExceeded"}
			})
			err := tt.call(t.Context())
			var api smithy.APIError
			if !errors.As(err, &api) || api.ErrorCode() != "RequestLimitExceeded" {
				t.Errorf("got %v, want RequestLimitExceeded", err)
			}
			want := []rig.Call{{Service: tt.service, Region: region, Action: tt.action}}
			if diff := cmp.Diff(seen, want); diff != "" {
				t.Error(diff)
			}
			proxy.Intercept(nil)
			if err := tt.call(t.Context()); err != nil {
				t.Errorf("without a rule: %v", err)
			}
		})
	}
}

func TestProxy_FaultBeforeOrAfterTheCall(t *testing.T) {
	proxy, cfg := startProxy(t)
	client := ec2.NewFromConfig(cfg)
	for _, tt := range []struct {
		name  string
		fault rig.Fault
		done  bool
	}{
		{"RefusedBefore", rig.Fault{Status: 500, Code: "InternalError"}, false},
		{"LostBefore", rig.Fault{}, false},
		{"RefusedAfter", rig.Fault{Status: 500, Code: "InternalError", After: true}, true},
		{"LostAfter", rig.Fault{After: true}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			proxy.Intercept(func(c rig.Call) *rig.Fault {
				if c.Action == "CreateKeyPair" && c.Form.Get("KeyName") == tt.name {
					return &tt.fault
				}
				return nil
			})
			if _, err := client.CreateKeyPair(t.Context(), &ec2.CreateKeyPairInput{KeyName: &tt.name}); err == nil {
				t.Error("the call succeeded")
			}
			out, err := client.DescribeKeyPairs(t.Context(), &ec2.DescribeKeyPairsInput{KeyNames: []string{tt.name}})
			if done := err == nil && len(out.KeyPairs) == 1; done != tt.done {
				t.Errorf("the call was done: %t, want %t (%v)", done, tt.done, err)
			}
		})
	}
}

func TestProxy_AnswersAndTells(t *testing.T) {
	proxy, cfg := startProxy(t)
	client := ec2.NewFromConfig(cfg)
	notified := make(chan string, 10)
	proxy.Notify(func(c rig.Call) { notified <- c.Action })
	proxy.Answer(func(_ context.Context, c rig.Call) []byte {
		if c.Action != "DescribeVpcs" {
			return nil
		}
		return []byte(`<DescribeVpcsResponse><vpcSet><item><vpcId>vpc-1</vpcId></item></vpcSet></DescribeVpcsResponse>`)
	})
	out, err := client.DescribeVpcs(t.Context(), nil)
	if err != nil || len(out.Vpcs) != 1 || aws.ToString(out.Vpcs[0].VpcId) != "vpc-1" {
		t.Errorf("got %+v and %v, want the answer", out, err)
	}
	proxy.Intercept(func(rig.Call) *rig.Fault { return &rig.Fault{Status: 503, Code: "RequestLimitExceeded"} })
	if _, err := client.DescribeVpcs(t.Context(), nil); err == nil {
		t.Error("an answer came before a fault")
	}
	proxy.Intercept(func(rig.Call) *rig.Fault { return &rig.Fault{After: true} })
	if _, err := client.CreateKeyPair(t.Context(), &ec2.CreateKeyPairInput{KeyName: aws.String("k")}); err == nil {
		t.Error("no reply was lost")
	}
	if first := <-notified; first != "CreateKeyPair" || len(notified) > 0 {
		t.Errorf("notified of %s and %d more, want CreateKeyPair alone", first, len(notified))
	}
}

func TestProxy_JSON(t *testing.T) {
	backend := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(backend.Close)
	proxy, err := rig.NewProxy(backend.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	proxy.Intercept(func(c rig.Call) *rig.Fault {
		if c.Action != "PutItem" {
			t.Errorf("got action %q, want PutItem", c.Action)
		}
		return &rig.Fault{Status: 400, Code: "ThrottlingException"}
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, proxy.URL, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Amz-Target", "DynamoDB_20120810.PutItem")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 400 || !strings.Contains(string(body), `"__type":"ThrottlingException"`) {
		t.Errorf("got %d %s and %v", resp.StatusCode, body, err)
	}
}

// startProxy puts a proxy before a new account and returns the configuration
// that goes through it, without retries.
func startProxy(t *testing.T) (*rig.Proxy, aws.Config) {
	t.Helper()
	account := rig.NewAccount(t)
	proxy, err := rig.NewProxy(account.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	account.Endpoint = proxy.URL
	cfg := account.Config(region)
	cfg.RetryMaxAttempts = 1
	return proxy, cfg
}
