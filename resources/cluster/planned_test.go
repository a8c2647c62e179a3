package cluster

import (
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

func TestKeepPlanned(t *testing.T) {
	rollout := tftypes.Object{AttributeTypes: map[string]tftypes.Type{"id": tftypes.String, "status": tftypes.String}}
	tags := tftypes.Map{ElementType: tftypes.String}
	whole := tftypes.Object{AttributeTypes: map[string]tftypes.Type{
		"traffic": tftypes.Number, "generation": tftypes.String, "tags": tags, "last_rollout": rollout, "missing": tftypes.List{ElementType: tftypes.String},
	}}
	value := func(traffic, generation, tag, id, status any, missing any) tftypes.Value {
		return tftypes.NewValue(whole, map[string]tftypes.Value{
			"traffic": tftypes.NewValue(tftypes.Number, traffic), "generation": tftypes.NewValue(tftypes.String, generation),
			"tags": tftypes.NewValue(tags, map[string]tftypes.Value{"a": tftypes.NewValue(tftypes.String, tag)}),
			"last_rollout": tftypes.NewValue(rollout, map[string]tftypes.Value{
				"id": tftypes.NewValue(tftypes.String, id), "status": tftypes.NewValue(tftypes.String, status),
			}),
			"missing": tftypes.NewValue(tftypes.List{ElementType: tftypes.String}, missing),
		})
	}
	unknown := tftypes.UnknownValue
	none := []tftypes.Value{}
	plan := value(100, unknown, "planned", unknown, "succeeded", unknown)
	observed := value(0, "web-1", "observed", "r-1", "started", none)
	want := value(100, "web-1", "planned", "r-1", "succeeded", none)
	if got := keepPlanned(plan, observed); !got.Equal(want) {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := keepPlanned(plan, tftypes.NewValue(whole, nil)); !got.IsNull() {
		t.Errorf("got %s of no state", got)
	}
}
