package awscloud_test

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/awscloud"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

// logsAccount returns an account whose credentials are in the environment.
func logsAccount(t *testing.T) rig.Account {
	t.Helper()
	account := rig.NewAccount(t)
	for _, variable := range account.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	return account
}

func stepLog(content string) pipe.Log {
	return pipe.Log{
		Service: "web", Run: "01KB3ZJ8T0", Step: "unit tests", Name: "web/01KB3ZJ8T0/unit-tests-4f3a2b.log",
		At: clock.System{}.Now(), Content: strings.NewReader(content), Mask: strings.Clone,
	}
}

// A log in a bucket is the object at its address.
func TestAccBucketLogs(t *testing.T) {
	account := logsAccount(t)
	bucket := "logs-" + account.ID
	direct := s3.NewFromConfig(account.Config("us-east-1"), func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := direct.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	store := awscloud.NewBucketLogs(awscloud.Config{Region: "us-east-1"}, bucket, "ci/delivery")
	content := "$ make test\n\n1 passed: ü\n"
	address, err := store.Send(t.Context(), stepLog(content))
	if want := "s3://" + bucket + "/ci/delivery/web/01KB3ZJ8T0/unit-tests-4f3a2b.log"; err != nil || address != want {
		t.Fatalf("got the address %q and %v, want %q", address, err, want)
	}
	key := strings.TrimPrefix(address, "s3://"+bucket+"/")
	out, err := direct.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(out.Body)
	if err != nil || string(got) != content || *out.ContentType != "text/plain; charset=utf-8" {
		t.Errorf("got %q of type %s and %v", got, *out.ContentType, err)
	}

	missing := awscloud.NewBucketLogs(awscloud.Config{Region: "us-east-1"}, "missing-"+account.ID, "")
	address, err = missing.Send(t.Context(), stepLog("a\n"))
	if address != "" || err == nil || !strings.Contains(err.Error(), "there is no bucket missing-") {
		t.Errorf("got %q and %v", address, err)
	}
}

// A log in CloudWatch Logs is the stream of the log group that its address names, line by line.
func TestAccGroupLogs(t *testing.T) {
	account := logsAccount(t)
	direct, group := cloudwatchlogs.NewFromConfig(account.Config("eu-north-1")), "/ci/delivery"
	if _, err := direct.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &group}); err != nil {
		t.Fatal(err)
	}
	store := awscloud.NewGroupLogs(awscloud.Config{Region: "eu-north-1"}, group)
	want := []string{"$ make test", " ", "1 passed: ü"}
	for i := range 10_100 { // more than one batch
		want = append(want, fmt.Sprint("line ", i))
	}
	address, err := store.Send(t.Context(), stepLog(strings.Replace(strings.Join(want, "\n"), "\n \n", "\n\n", 1)+"\n"))
	if err != nil || address != "cloudwatch:///ci/delivery?region=eu-north-1&stream=web/01KB3ZJ8T0/unit-tests-4f3a2b.log" {
		t.Fatalf("got the address %q and %v", address, err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	query := &cloudwatchlogs.GetLogEventsInput{
		LogGroupName: aws.String(u.Host + u.Path), LogStreamName: aws.String(u.Query().Get("stream")), StartFromHead: aws.Bool(true),
	}
	for {
		out, err := direct.GetLogEvents(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range out.Events {
			got = append(got, *e.Message)
		}
		if len(out.Events) == 0 || aws.ToString(query.NextToken) == *out.NextForwardToken {
			break
		}
		query.NextToken = out.NextForwardToken
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}

	t.Run("Again", func(t *testing.T) { // the stream exists
		if again, err := store.Send(t.Context(), stepLog("a\n")); err != nil || again != address {
			t.Errorf("got %q and %v", again, err)
		}
	})
	t.Run("NoGroup", func(t *testing.T) {
		address, err := awscloud.NewGroupLogs(awscloud.Config{Region: "eu-north-1"}, "missing").Send(t.Context(), stepLog("a\n"))
		if address != "" || err == nil || !strings.Contains(err.Error(), "there is no log group missing in eu-north-1: create it") {
			t.Errorf("got %q and %v", address, err)
		}
	})
	t.Run("Part", func(t *testing.T) {
		proxy, err := rig.NewProxy(account.Endpoint)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = proxy.Close() })
		puts := 0
		proxy.Intercept(func(c rig.Call) *rig.Fault {
			if c.Action == "PutLogEvents" {
				puts++
			}
			if puts > 1 {
				return &rig.Fault{Status: 400, Code: "ThrottlingException"}
			}
			return nil
		})
		endpoints := map[string]string{"logs": proxy.URL}
		store := awscloud.NewGroupLogs(awscloud.Config{Region: "eu-north-1", Endpoints: endpoints}, group)
		part, err := store.Send(t.Context(), stepLog(strings.Repeat("line\n", 10_100)))
		if part != address || err == nil || !strings.Contains(err.Error(), "ThrottlingException") {
			t.Errorf("got %q and %v, want the address of what was sent, and an error", part, err)
		}
	})
	t.Run("OldLines", func(t *testing.T) {
		l := stepLog("a\n")
		l.At = l.At.AddDate(0, -1, 0)
		address, err := store.Send(t.Context(), l)
		if address != "" || err == nil || !strings.Contains(err.Error(), "CloudWatch Logs rejected lines") {
			t.Errorf("got %q and %v", address, err)
		}
	})
}

// Credentials are looked for when a log is sent, and again for the next log.
func TestBucketLogs_NoCredentials(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "", "AWS_CONFIG_FILE": "/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	store := awscloud.NewBucketLogs(awscloud.Config{Region: "eu-north-1"}, "logs", "")
	for range 2 {
		address, err := store.Send(t.Context(), stepLog("a\n"))
		if address != "" || err == nil || !strings.Contains(err.Error(), "no AWS credentials") {
			t.Errorf("got %q and %v", address, err)
		}
	}
}
