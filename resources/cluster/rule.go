package cluster

import (
	"context"
	"fmt"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework-validators/int32validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/resources"
)

type ruleModel struct {
	Priority     types.Int32 `tfsdk:"priority"`
	Hosts        types.Set   `tfsdk:"hosts"`
	Paths        types.Set   `tfsdk:"paths"`
	HTTPHeaders  types.Set   `tfsdk:"http_header"`
	HTTPMethods  types.Set   `tfsdk:"http_methods"`
	QueryStrings types.Set   `tfsdk:"query_string"`
	SourceIPs    types.Set   `tfsdk:"source_ips"`
}

type headerModel struct {
	Name   types.String `tfsdk:"name"`
	Values types.Set    `tfsdk:"values"`
}

type queryStringModel struct {
	Key    types.String `tfsdk:"key"`
	Values types.Set    `tfsdk:"values"`
}

var (
	headerType = types.ObjectType{AttrTypes: map[string]attr.Type{
		"name": types.StringType, "values": types.SetType{ElemType: types.StringType},
	}}
	queryStringType = types.ObjectType{AttrTypes: map[string]attr.Type{
		"key": types.StringType, "values": types.SetType{ElemType: types.StringType},
	}}
)

// conditionValues: AWS accepts patterns of 1 to 128 characters.
var conditionValues = append(slices.Clone(someStrings), setvalidator.ValueStringsAre(stringvalidator.LengthBetween(1, 128)))

func ruleBlock() schema.Block {
	attributes := conditionAttributes()
	attributes["priority"] = schema.Int32Attribute{
		Optional: true, Computed: true, Validators: []validator.Int32{int32validator.Between(1, 50_000)},
		PlanModifiers: []planmodifier.Int32{keptPriority{}},
		MarkdownDescription: fmt.Sprintf("Priority, 1 to 50000, unique in the listener. Of the rules that a request matches, "+
			"the one with the lowest number answers. By default, a free one from %d to %d is chosen, or one before "+
			"the rule of `take_over_target_group_arn`, and kept for as long as the cluster stays at the listener.",
			cluster.FirstFreePriority, cluster.LastFreePriority),
	}
	return schema.SingleNestedBlock{
		MarkdownDescription: "Selects the listener's requests for this cluster, with at most five values in all. " +
			"A request must match every condition that is given, and of each condition one value. " +
			"Without a rule, the cluster takes the listener's default action. " +
			"That must be a fixed response before, and becomes the fixed response 503 when the cluster is destroyed. " +
			"Apart from that fixed response, a rule or default action that does not belong to the cluster is never changed. " +
			"A new cluster gets requests once all of its servers are healthy; until then, they go where they went before. " +
			"The values are in Terraform's state and in the build data repository, also if they are secret, such as the header by which " +
			"a content delivery network proves its origin. Those of headers and query strings are never in messages and events.",
		Attributes: attributes,
		Blocks:     conditionBlocksOf(),
	}
}

// conditionAttributes are the conditions of a rule that are not blocks.
func conditionAttributes() map[string]schema.Attribute {
	values := func(description string) schema.SetAttribute {
		return schema.SetAttribute{
			Optional: true, ElementType: types.StringType, Validators: conditionValues, MarkdownDescription: description,
		}
	}
	return map[string]schema.Attribute{
		"hosts":        values("Host names, with `*` and `?` as wildcards."),
		"paths":        values("Paths, with `*` and `?` as wildcards."),
		"http_methods": values("HTTP methods in capital letters, such as `GET`."),
		"source_ips": values("CIDR blocks that the requests come from, such as `10.0.0.0/8`. " +
			"What counts is the sender's own address, and not the header `X-Forwarded-For`."),
	}
}

// conditionBlocksOf are the conditions of a rule that are blocks.
func conditionBlocksOf() map[string]schema.Block {
	// The path of an attribute in a set of blocks shows the block's values, so such attributes
	// have no validators.
	hidden := func(description string) schema.SetAttribute {
		return schema.SetAttribute{Required: true, ElementType: types.StringType, MarkdownDescription: description}
	}
	return map[string]schema.Block{
		"http_header": schema.SetNestedBlock{
			Validators:          []validator.Set{conditionBlocks{}},
			MarkdownDescription: "A condition on an HTTP header. A request must match all of these blocks.",
			NestedObject: schema.NestedBlockObject{Attributes: map[string]schema.Attribute{
				"name":   schema.StringAttribute{Required: true, MarkdownDescription: "Name of the header, in any letter case."},
				"values": hidden("Values of the header, in any letter case, with `*` and `?` as wildcards. May be sensitive."),
			}},
		},
		"query_string": schema.SetNestedBlock{
			Validators:          []validator.Set{conditionBlocks{}},
			MarkdownDescription: "A condition on the query string. A request must match all of these blocks.",
			NestedObject: schema.NestedBlockObject{Attributes: map[string]schema.Attribute{
				"key": schema.StringAttribute{
					Optional:            true,
					MarkdownDescription: "The key. By default, the values of all keys are compared. Wildcards as in `values`.",
				},
				"values": hidden("Values, in any letter case, with `*` and `?` as wildcards; `\\*` and `\\?` stand for themselves."),
			}},
		},
	}
}

// keptPriority keeps the priority that was chosen, unless the cluster moves to another listener.
type keptPriority struct{}

func (keptPriority) Description(context.Context) string {
	return "a priority that was chosen is kept at its listener"
}

func (m keptPriority) MarkdownDescription(ctx context.Context) string { return m.Description(ctx) }

func (keptPriority) PlanModifyInt32(ctx context.Context, req planmodifier.Int32Request, resp *planmodifier.Int32Response) {
	if !req.ConfigValue.IsNull() || req.StateValue.IsNull() {
		return
	}
	var was, is types.String
	resp.Diagnostics.Append(req.State.GetAttribute(ctx, path.Root("listener"), &was)...)
	resp.Diagnostics.Append(req.Plan.GetAttribute(ctx, path.Root("listener"), &is)...)
	if is.Equal(was) {
		resp.PlanValue = req.StateValue
	} else {
		resp.PlanValue = types.Int32Unknown()
	}
}

// onlyAtCreation keeps a value that was used in the creation. So it can be removed from the
// configuration without a change.
type onlyAtCreation struct{}

func (onlyAtCreation) Description(context.Context) string { return "used in the creation only" }

func (m onlyAtCreation) MarkdownDescription(ctx context.Context) string { return m.Description(ctx) }

func (onlyAtCreation) PlanModifyString(_ context.Context, req planmodifier.StringRequest, resp *planmodifier.StringResponse) {
	switch {
	case !req.StateValue.IsNull():
		resp.PlanValue = req.StateValue
	case req.ConfigValue.IsNull():
		resp.PlanValue = types.StringNull()
	}
}

// conditionBlocks refuses what the validation of a whole rule cannot see. It names no
// values, which may be secret.
type conditionBlocks struct{}

func (conditionBlocks) Description(context.Context) string {
	return "no value is null, and no key is empty"
}

func (v conditionBlocks) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

func (conditionBlocks) ValidateSet(_ context.Context, req validator.SetRequest, resp *validator.SetResponse) {
	for _, element := range req.ConfigValue.Elements() {
		block, ok := element.(types.Object)
		if !ok {
			continue // not known yet
		}
		if values, ok := block.Attributes()["values"].(types.Set); ok && slices.ContainsFunc(values.Elements(), attr.Value.IsNull) {
			resp.Diagnostics.AddAttributeError(req.Path, "A value is null", fmt.Sprintf("In one of the blocks %s, a value is null.", req.Path))
		}
		if key, ok := block.Attributes()["key"].(types.String); ok && key.Equal(types.StringValue("")) {
			resp.Diagnostics.AddAttributeError(req.Path, "A key is empty",
				fmt.Sprintf("In one of the blocks %s, the key is empty. Leave it out to compare the values of all keys.", req.Path))
		}
	}
}

func (d *decoder) rule(m ruleModel) *cluster.Rule {
	r := &cluster.Rule{
		Priority: m.Priority.ValueInt32(), Hosts: d.strings(m.Hosts), Paths: d.strings(m.Paths),
		Methods: d.strings(m.HTTPMethods), SourceIPs: d.strings(m.SourceIPs),
	}
	var headers []headerModel
	d.diags.Append(m.HTTPHeaders.ElementsAs(d.ctx, &headers, false)...)
	for _, h := range headers {
		r.Headers = append(r.Headers, cluster.Header{Name: h.Name.ValueString(), Values: d.strings(h.Values)})
	}
	var queries []queryStringModel
	d.diags.Append(m.QueryStrings.ElementsAs(d.ctx, &queries, false)...)
	for _, q := range queries {
		r.QueryStrings = append(r.QueryStrings, cluster.QueryString{Key: q.Key.ValueString(), Values: d.strings(q.Values)})
	}
	return r
}

func (e *encoder) rule(r cluster.Rule) *ruleModel {
	// Blocks that are left out are empty sets, not null.
	headers, queries := []headerModel{}, []queryStringModel{}
	for _, h := range r.Headers {
		headers = append(headers, headerModel{Name: types.StringValue(h.Name), Values: e.set(h.Values)})
	}
	for _, q := range r.QueryStrings {
		queries = append(queries, queryStringModel{Key: resources.OptionalString(q.Key), Values: e.set(q.Values)})
	}
	m := &ruleModel{
		Priority: types.Int32Value(r.Priority), Hosts: e.set(r.Hosts), Paths: e.set(r.Paths),
		HTTPMethods: e.set(r.Methods), SourceIPs: e.set(r.SourceIPs),
	}
	var diags diag.Diagnostics
	m.HTTPHeaders, diags = types.SetValueFrom(e.ctx, headerType, headers)
	e.diags.Append(diags...)
	m.QueryStrings, diags = types.SetValueFrom(e.ctx, queryStringType, queries)
	e.diags.Append(diags...)
	return m
}
