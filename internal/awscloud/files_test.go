package awscloud_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/awscloud"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

func TestAccUpload(t *testing.T) {
	account := rig.NewAccount(t)
	// Unlike AWS, moto takes files for a bucket in whatever region. This is what
	// AWS answers to calls that were signed for another one.
	target, err := url.Parse(account.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	behind := httputil.NewSingleHostReverseProxy(target)
	var refused int
	aws := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Authorization"), "/eu-west-1/s3/") {
			refused++
			w.Header().Set("X-Amz-Bucket-Region", "eu-west-1")
			w.WriteHeader(http.StatusMovedPermanently)
			_, _ = io.WriteString(w, `<Error><Code>PermanentRedirect</Code><Message>The bucket is elsewhere.</Message></Error>`)
			return
		}
		behind.ServeHTTP(w, r)
	}))
	t.Cleanup(aws.Close)

	bucket := "reports-" + account.ID
	direct := s3.NewFromConfig(account.Config("eu-west-1"), func(o *s3.Options) { o.UsePathStyle = true })
	_, err = direct.CreateBucket(t.Context(), &s3.CreateBucketInput{
		Bucket: &bucket, CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraintEuWest1},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, variable := range account.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	t.Setenv("AWS_ENDPOINT_URL", aws.URL)
	files, err := awscloud.OpenFiles(t.Context(), awscloud.Config{Region: "eu-north-1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{"<p>first", "<p>second"} {
		if err := files.Upload(t.Context(), bucket, "strawberry/17/a b.html", "text/html", strings.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	if refused != 2 {
		t.Errorf("%d calls went to the wrong region first, want both", refused)
	}
	key := "strawberry/17/a b.html"
	out, err := direct.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(out.Body)
	if err != nil || string(got) != "<p>second" || *out.ContentType != "text/html" {
		t.Errorf("got %q of type %s (%v)", got, *out.ContentType, err)
	}

	t.Run("NoBucket", func(t *testing.T) {
		t.Setenv("AWS_ENDPOINT_URL", account.Endpoint)
		files, err := awscloud.OpenFiles(t.Context(), awscloud.Config{Region: "eu-west-1"})
		if err != nil {
			t.Fatal(err)
		}
		err = files.Upload(t.Context(), "missing-"+account.ID, "a", "text/plain", strings.NewReader(""))
		if err == nil || !strings.Contains(err.Error(), "there is no bucket missing-"+account.ID) {
			t.Errorf("got %v", err)
		}
	})
}
