// Package version holds the resource delivery_version and the data sources
// delivery_version and delivery_versions.
package version

import (
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timetypes/timetypes"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/resources"
)

// facts are the attributes of a version that all resources and data sources here have.
type facts struct {
	Service        types.String      `tfsdk:"service"`
	Version        types.String      `tfsdk:"version"`
	Number         types.Int64       `tfsdk:"number"`
	Scheme         types.String      `tfsdk:"scheme"`
	Key            types.String      `tfsdk:"key"`
	SourceRevision types.String      `tfsdk:"source_revision"`
	Labels         types.Map         `tfsdk:"labels"`
	CreatedAt      timetypes.RFC3339 `tfsdk:"created_at"`
	Revoked        types.Bool        `tfsdk:"revoked"`
	RevokedReason  types.String      `tfsdk:"revoked_reason"`
}

func (f *facts) encode(v builddata.Version) {
	*f = facts{
		Service:        types.StringValue(v.Service),
		Version:        types.StringValue(v.Name),
		Number:         types.Int64Value(v.Number),
		Scheme:         types.StringValue(string(v.Scheme)),
		Key:            resources.OptionalString(v.Key),
		SourceRevision: resources.OptionalString(v.SourceRevision),
		Labels:         types.MapNull(types.StringType),
		CreatedAt:      timetypes.NewRFC3339TimeValue(v.CreatedAt.Truncate(time.Second)),
		Revoked:        types.BoolValue(v.Revocation != nil),
		RevokedReason:  types.StringNull(),
	}
	if len(v.Labels) > 0 {
		f.Labels = resources.StringMap(v.Labels)
	}
	if v.Revocation != nil {
		f.RevokedReason = types.StringValue(v.Revocation.Reason)
	}
}

// Descriptions of the attributes.
const (
	describeVersion       = "The version's name, as its scheme renders it: `17`, `1.4.0`, `2026.11.3`."
	describeNumber        = "The version's number: unique and rising within the service, from 1. There may be gaps."
	describeScheme        = "How the number is rendered: `sequence` (17), `semver` (1.4.0) or `calver` (2026.11.3: year, month and count)."
	describeKey           = "The idempotency key it was allocated with, if any."
	describeRevision      = "The SCM revision it was built from, if known."
	describeLabels        = "The labels it was allocated with, if any."
	describeCreated       = "When it was allocated, in UTC (RFC 3339)."
	describeRevoked       = "Whether it was revoked, and so must not be used any more."
	describeRevokedReason = "Why it was revoked."
)
