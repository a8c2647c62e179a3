package awscloud_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/awscloud"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// TestAlarms_EveryType takes request and reply from CloudWatch's model in botocore 1.44.8,
// since moto knows no log alarms: its serializer of the Query protocol makes these requests,
// and its parser reads this reply, which has every member of a log alarm.
func TestAlarms_EveryType(t *testing.T) {
	want := map[string]string{
		"Action=DescribeAlarms&Version=2010-08-01" +
			"&AlarmNames.member.1=errors&AlarmNames.member.2=composed&AlarmNames.member.3=logged&AlarmNames.member.4=gone" +
			"&AlarmTypes.member.1=MetricAlarm&AlarmTypes.member.2=CompositeAlarm": "LogAlarms",
		"Action=DescribeAlarms&Version=2010-08-01&AlarmNames.member.1=logged&AlarmNames.member.2=gone" +
			"&AlarmTypes.member.1=LogAlarm": "MetricAlarms|CompositeAlarms",
	}
	reply, err := os.ReadFile("testdata/describe_alarms.xml")
	if err != nil {
		t.Fatal(err)
	}
	aws := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		for request, withheld := range want {
			form, err := url.ParseQuery(request)
			if err == nil && cmp.Equal(form, r.PostForm) {
				delete(want, request)
				other := regexp.MustCompile("(?s)<(" + withheld + ")>.*</(" + withheld + ")>")
				w.Header().Set("Content-Type", "text/xml")
				_, _ = w.Write(other.ReplaceAll(reply, nil))
				return
			}
		}
		t.Errorf("got the request %v", r.PostForm)
		w.WriteHeader(http.StatusBadRequest)
	}))
	t.Cleanup(aws.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	cloud, err := awscloud.Open(t.Context(), awscloud.Config{
		Region: "eu-north-1", Endpoints: map[string]string{"cloudwatch": aws.URL},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := cloud.Alarms(t.Context(), []string{"errors", "composed", "logged", "gone"})
	if err != nil {
		t.Fatal(err)
	}
	alarms := []cluster.Alarm{
		{Name: "errors", State: cluster.AlarmOK, Reason: "no datapoint is above 0"},
		{Name: "composed", State: cluster.AlarmNoData, Reason: "no child has data"},
		{Name: "logged", State: cluster.AlarmFiring, Reason: "2 of 2 query results are above 10"},
		{Name: "gone", State: cluster.AlarmMissing},
	}
	if diff := cmp.Diff(got, alarms); diff != "" {
		t.Errorf("got (-), want (+):\n%s", diff)
	}
	for request := range want {
		t.Errorf("the request %s was not made", request)
	}
}
