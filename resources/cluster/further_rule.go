package cluster

import (
	"slices"

	"github.com/hashicorp/terraform-plugin-framework-validators/int32validator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

type furtherModel struct {
	Name     types.String `tfsdk:"name"`
	Listener types.String `tfsdk:"listener"`
	ruleModel
}

var furtherType = types.ObjectType{AttrTypes: map[string]attr.Type{
	"name": types.StringType, "listener": types.StringType, "priority": types.Int32Type,
	"hosts": types.SetType{ElemType: types.StringType}, "paths": types.SetType{ElemType: types.StringType},
	"http_header": types.SetType{ElemType: headerType}, "http_methods": types.SetType{ElemType: types.StringType},
	"query_string": types.SetType{ElemType: queryStringType}, "source_ips": types.SetType{ElemType: types.StringType},
}}

func furtherBlock() schema.Block {
	attributes := conditionAttributes()
	attributes["name"] = schema.StringAttribute{
		Required: true, MarkdownDescription: "Name of the rule, 1 to 64 letters, digits, dots, underscores and hyphens. It is a tag of the rule.",
	}
	attributes["listener"] = schema.StringAttribute{
		Optional: true, Validators: notEmpty,
		MarkdownDescription: "ARN of a listener of the same load balancer. Defaults to the cluster's `listener`.",
	}
	attributes["priority"] = schema.Int32Attribute{
		Optional: true, Validators: []validator.Int32{int32validator.Between(1, 50_000)},
		MarkdownDescription: "Priority, 1 to 50000, unique in the listener. By default, a free one is chosen and kept.",
	}
	return schema.ListNestedBlock{
		MarkdownDescription: "Another rule by which the cluster gets requests, such as for further hosts, or at a second listener of the same load " +
			"balancer. In a rollout, it has the same weights as the cluster's own rule. It is made once all servers of a new cluster are healthy. " +
			"For another load balancer, use `target_group_arns`. An import does not find further rules; the next apply takes over those " +
			"of the same names.",
		NestedObject: schema.NestedBlockObject{Attributes: attributes, Blocks: conditionBlocksOf()},
	}
}

// further decodes the further rules.
func (d *decoder) further(m *model) (rules []cluster.FurtherRule) {
	for _, f := range d.furtherModels(m) {
		rules = append(rules, d.furtherRule(m, f))
	}
	return rules
}

func (d *decoder) furtherModels(m *model) (all []furtherModel) {
	if !m.FurtherRules.IsNull() && !m.FurtherRules.IsUnknown() {
		d.diags.Append(m.FurtherRules.ElementsAs(d.ctx, &all, false)...)
	}
	return all
}

func (d *decoder) furtherRule(m *model, f furtherModel) cluster.FurtherRule {
	listener := f.Listener
	if listener.IsNull() {
		listener = m.Listener
	}
	return cluster.FurtherRule{Name: f.Name.ValueString(), ListenerARN: listener.ValueString(), Rule: *d.rule(f.ruleModel)}
}

// further encodes the further rules that exist. One that is as it was keeps its spelling.
func (e *encoder) further(m *model, exist []cluster.FurtherRule) {
	d := decoder{ctx: e.ctx}
	was := d.furtherModels(m)
	elements := []furtherModel{}
	for _, f := range was {
		before := d.furtherRule(m, f)
		i := slices.IndexFunc(exist, func(r cluster.FurtherRule) bool { return r.Name == before.Name && r.ListenerARN == before.ListenerARN })
		if i < 0 {
			continue // it was removed by other means, and the next apply makes it again
		}
		is := exist[i].Rule
		if before.Rule.Priority == 0 {
			is.Priority = 0 // any
		}
		if !is.SelectsSame(before.Rule) || is.Priority != before.Rule.Priority {
			priority := f.Priority
			f.ruleModel = *e.rule(is)
			if before.Rule.Priority == 0 {
				f.Priority = priority
			}
		}
		elements = append(elements, f)
	}
	e.diags.Append(d.diags...)
	list, diags := types.ListValueFrom(e.ctx, furtherType, elements)
	e.diags.Append(diags...)
	m.FurtherRules = list
}
