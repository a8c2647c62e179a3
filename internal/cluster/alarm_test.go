package cluster_test

import (
	"errors"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

func TestVerdict(t *testing.T) {
	for name, tt := range map[string]struct {
		alarms      []cluster.Alarm
		noDataIsBad bool
		want        string
	}{
		"None":       {nil, true, ""},
		"OK":         {[]cluster.Alarm{{Name: "a", State: cluster.AlarmOK}}, true, ""},
		"NoDataIsOK": {[]cluster.Alarm{{Name: "a", State: cluster.AlarmNoData}}, false, ""},
		"NoDataIsBad": {[]cluster.Alarm{{Name: "a", State: cluster.AlarmNoData}}, true,
			`alarm "a" has no data, which counts as firing (missing_data)`},
		"Fires": {[]cluster.Alarm{{Name: "a", State: cluster.AlarmFiring}}, false, `alarm "a" fires`},
		"ReasonOneRow": {[]cluster.Alarm{{Name: "a", State: cluster.AlarmFiring, Reason: "threshold\n crossed."}}, false,
			`alarm "a" fires: threshold crossed`},
		"OnlyTheBad": {
			[]cluster.Alarm{
				{Name: "a", State: cluster.AlarmOK}, {Name: "b", State: cluster.AlarmMissing}, {Name: "c", State: cluster.AlarmFiring, Reason: "x"},
			},
			false, `alarm "b" does not exist in this account and region; alarm "c" fires: x`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := cluster.Verdict(tt.alarms, tt.noDataIsBad)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if err != nil && !errors.As(err, new(*cluster.AlarmError)) {
				t.Errorf("got a %T, want an *AlarmError", err)
			}
		})
	}
}
