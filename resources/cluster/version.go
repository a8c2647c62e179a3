package cluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/catalog"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/rollout"
	"github.com/pipes-as-code/terraform-provider-delivery/resources"
)

// completeImage fills in the image if the configuration names none: the one in
// the state while the version stays, or else the one of the version. Before is
// nil in a creation. A version that is not known yet leaves the image unknown.
func (r *clusterResource) completeImage(ctx context.Context, m, before *model, diags *diag.Diagnostics) {
	switch {
	case !m.ImageID.IsUnknown() || m.Version.IsUnknown() || m.Service.IsUnknown():
		return
	case before != nil && before.Version.Equal(m.Version):
		m.ImageID = before.ImageID
		return
	}
	v, images, region, ok := r.readVersion(ctx, m.identity(), m.Version.ValueString(), diags)
	if !ok {
		return
	}
	image, err := builddata.SelectImage(v, images, region, "")
	if err != nil {
		diags.AddAttributeError(path.Root("image_id"), "The image of the version could not be chosen", err.Error()+
			". If there are several, choose one: image_id = data.delivery_image.NAME.image_id.")
		return
	}
	m.ImageID = types.StringValue(image.ID)
}

// checkVersion refuses to start servers of a version that does not exist or is
// revoked, or whose image is another one.
func (r *clusterResource) checkVersion(ctx context.Context, m *model, s cluster.Spec, diags *diag.Diagnostics) {
	v, images, region, ok := r.readVersion(ctx, s.ID, s.Version, diags)
	if !ok {
		return
	}
	allow := cluster.Exceptions{Revoked: m.AllowRevoked.ValueBool(), UnregisteredImage: m.AllowUnregisteredImage.ValueBool()}
	if err := s.CheckVersion(v, images, region, allow); err != nil {
		diags.AddAttributeError(path.Root("version"), fmt.Sprintf("Cluster %s cannot start servers of version %s", s.ID, s.Version), err.Error())
		return
	}
	if v.Revocation != nil {
		resources.WarnRevoked(diags, v)
	}
}

// warnNotAsTested warns if the new servers differ from those that their version was
// tested on. A repository that cannot be read is an error elsewhere: after a success,
// it must not become one.
func (r *clusterResource) warnNotAsTested(ctx context.Context, s cluster.Spec, diags *diag.Diagnostics) {
	region, err := r.Region(ctx)
	var differs *catalog.Comparison
	if store, ok := r.OpenStore(ctx, diags); ok && err == nil {
		differs, err = (&catalog.Catalog{Store: store, Clock: r.Clock}).CompareWithTested(ctx, s, region)
	}
	switch {
	case err != nil:
		diags.AddWarning("The servers could not be compared with those that were tested", fmt.Sprintf("Cluster %s: %s", s.ID, err))
	case differs != nil:
		list := ""
		for _, d := range differs.Differences {
			list += fmt.Sprintf("\n  - %s", d)
		}
		diags.AddWarning(fmt.Sprintf("Cluster %s differs from what was tested", s.ID),
			fmt.Sprintf("Version %s of %s was tested in %s, on other servers:\n%s", s.Version, s.Service, differs, list))
	}
}

// warnRevoked warns if the servers, which stay, run a revoked version.
func (r *clusterResource) warnRevoked(ctx context.Context, s cluster.Spec, diags *diag.Diagnostics) {
	store, ok := r.OpenStore(ctx, diags)
	if !ok {
		return
	}
	v, err := store.Version(ctx, s.Service, s.Version)
	switch {
	case errors.Is(err, builddata.ErrNotFound):
	case err != nil:
		resources.Fail(diags, "read the version of cluster "+s.ID.String(), err)
	default:
		resources.WarnRevoked(diags, v)
	}
}

// warnExists warns of a plan that creates a cluster which exists by the records. It is no
// error: a replacement destroys the cluster first, and is planned as a creation as well.
func (r *clusterResource) warnExists(ctx context.Context, id cluster.ID, diags *diag.Diagnostics) {
	store, ok := r.OpenStore(ctx, diags)
	if !ok {
		return
	}
	region, err := r.Region(ctx)
	if err != nil {
		resources.Fail(diags, "read the region", err)
		return
	}
	status, err := rollout.ReadStatus(ctx, store, id, region)
	if err != nil {
		resources.Fail(diags, "read the records of cluster "+id.String(), err)
		return
	}
	if status.Open == nil && status.Serving != nil {
		diags.AddWarning(fmt.Sprintf("Cluster %s exists already", id), fmt.Sprintf(
			"In %s, generation %s serves version %s. Unless this plan also destroys that cluster, the apply refuses to create it: "+
				"import it (terraform import ADDRESS %s), or choose another service or environment.",
			region, status.Serving.Name, status.Serving.Spec.Version, id))
	}
}

// readVersion reads a version and its images, and the provider's region.
func (r *clusterResource) readVersion(
	ctx context.Context, id cluster.ID, name string, diags *diag.Diagnostics,
) (v builddata.Version, images []builddata.Image, region string, ok bool) {
	store, ok := r.OpenStore(ctx, diags)
	if !ok {
		return v, nil, "", false
	}
	v, err := store.Version(ctx, id.Service, name)
	if errors.Is(err, builddata.ErrNotFound) {
		diags.AddAttributeError(path.Root("version"), "The version does not exist", fmt.Sprintf(
			"Cluster %s: service %s has no version %s in the build data repository. \"delivery version list --service %s\" lists its versions.",
			id, id.Service, name, id.Service))
		return v, nil, "", false
	}
	if err == nil {
		images, err = store.Images(ctx, builddata.ImageQuery{Service: v.Service, Number: v.Number})
	}
	if err == nil {
		region, err = r.Region(ctx)
	}
	if err != nil {
		resources.Fail(diags, "read version "+name+" of "+id.Service, err)
		return v, nil, "", false
	}
	return v, images, region, true
}
