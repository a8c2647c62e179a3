package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/schema/validator"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// nameValidator checks the names of services and environments by the domain's
// rule.
type nameValidator struct{}

func (nameValidator) Description(context.Context) string {
	return "1 to 64 letters, digits, dots, underscores and hyphens"
}

func (v nameValidator) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

func (nameValidator) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	name := req.ConfigValue.ValueString()
	if err := (cluster.ID{Service: name, Environment: name}).Validate(); err != nil {
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid name", err.Error())
	}
}

// moment accepts a point in time.
type moment struct{}

func (moment) Description(context.Context) string { return "a time such as 2026-12-24T18:00:00Z" }

func (v moment) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

func (v moment) ValidateString(ctx context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	if _, err := time.Parse(time.RFC3339, req.ConfigValue.ValueString()); err != nil {
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid time", req.ConfigValue.ValueString()+" is not "+v.Description(ctx)+".")
	}
}

// plainUserData refuses user data that is encoded already.
type plainUserData struct{}

func (plainUserData) Description(context.Context) string { return "plain text, not base64" }

func (v plainUserData) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

func (plainUserData) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if cluster.IsEncodedUserData([]byte(req.ConfigValue.ValueString())) {
		resp.Diagnostics.AddAttributeError(req.Path, "User data is encoded twice",
			"The value is base64 already, and would be encoded once more: servers would ignore it. Use user_data_base64 instead of user_data.")
	}
}

// encodedUserData accepts user data in base64.
type encodedUserData struct{}

func (encodedUserData) Description(context.Context) string {
	return "base64, at most 16 KiB once decoded"
}

func (v encodedUserData) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

func (encodedUserData) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	data, err := cluster.DecodeUserData(req.ConfigValue.ValueString())
	switch {
	case err != nil:
		resp.Diagnostics.AddAttributeError(req.Path, "Invalid user data", err.Error())
	case cluster.IsEncodedUserData(data):
		resp.Diagnostics.AddAttributeError(req.Path, "User data is encoded twice",
			"The value is base64 of base64: servers would ignore it. Encode it once.")
	}
}

// targetProtocol refuses protocols that other load balancers and other versions of HTTP have,
// and says what to do instead.
type targetProtocol struct{}

func (targetProtocol) Description(context.Context) string { return "HTTP or HTTPS" }

func (v targetProtocol) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

func (targetProtocol) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	protocol := req.ConfigValue.ValueString()
	why := "Use HTTP or HTTPS."
	switch strings.ToUpper(protocol) {
	case "HTTP", "HTTPS":
		if protocol == strings.ToUpper(protocol) {
			return
		}
		why = "Write it in capital letters."
	case "TCP", "TLS", "UDP", "TCP_UDP", "GENEVE":
		why = "It is a protocol of network and gateway load balancers, but a cluster moves requests at the listener of an application " +
			"load balancer only. Use HTTP or HTTPS, or leave out listener and target for a worker cluster."
	case "GRPC", "HTTP1", "HTTP2":
		why = "It is a version of a protocol, and target groups of a cluster always have HTTP/1.1. " +
			"Use HTTP or HTTPS, or leave out listener and target for a worker cluster."
	}
	resp.Diagnostics.AddAttributeError(req.Path, "Invalid protocol of the target", fmt.Sprintf("%q is not supported. %s", protocol, why))
}
