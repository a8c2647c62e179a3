package awscloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// Error codes of EC2,
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html.
const (
	codeTemplateExists  = "InvalidLaunchTemplateName.AlreadyExistsException"
	codeVersionNotFound = "InvalidLaunchTemplateId.VersionNotFound"
)

// templateGone are the codes for a launch template that does not exist.
var templateGone = []string{
	"InvalidLaunchTemplateId.NotFound",
	"InvalidLaunchTemplateId.NotFoundException",
	"InvalidLaunchTemplateName.NotFoundException",
}

// MakeTemplate implements cluster.Cloud.
func (c *Cloud) MakeTemplate(ctx context.Context, g cluster.Generation, s cluster.Spec) error {
	data, err := c.templateData(ctx, g, s)
	if err != nil {
		return err
	}
	// The name is unique, so a repeated call creates nothing. A client token of ours would
	// have it refused if anything in the data had changed.
	out, err := c.ec2.CreateLaunchTemplate(ctx, &ec2.CreateLaunchTemplateInput{
		LaunchTemplateName: &g.Name,
		LaunchTemplateData: data,
		VersionDescription: aws.String("version " + s.Version),
		TagSpecifications:  []types.TagSpecification{{ResourceType: types.ResourceTypeLaunchTemplate, Tags: ec2Tags(g.Tags(s.Tags))}},
	})
	switch {
	case err != nil && !hasCode(err, codeTemplateExists):
		return fmt.Errorf("create launch template %s: %w", g.Name, err)
	case err == nil:
		if err := templateWarning(g, out.Warning); err != nil {
			return err
		}
	}
	// A removal that follows has to find it.
	_, err = visible(ctx, "launch template", g, c.template)
	return err
}

// templateWarning returns what AWS says is invalid in a launch template that it has created
// nevertheless. No server could be started from it.
func templateWarning(g cluster.Generation, warning *types.ValidationWarning) error {
	if warning == nil {
		return nil
	}
	var errs []error
	for _, e := range warning.Errors {
		errs = append(errs, fmt.Errorf("launch template %s is invalid: %s (%s)", g.Name, aws.ToString(e.Message), aws.ToString(e.Code)))
	}
	return errors.Join(errs...)
}

// templateData specifies the servers. Volumes and network interfaces get their
// tags from it. Instances get theirs from the Auto Scaling group, which takes
// precedence.
func (c *Cloud) templateData(ctx context.Context, g cluster.Generation, s cluster.Spec) (*types.RequestLaunchTemplateData, error) {
	image, err := c.image(ctx, s.ImageID)
	if err != nil {
		return nil, err
	}
	data := &types.RequestLaunchTemplateData{}
	if s.Servers.Template != nil {
		source, err := c.templateVersion(ctx, *s.Servers.Template)
		if err != nil {
			return nil, err
		}
		if data, err = copyTemplateData(source.LaunchTemplateData); err != nil {
			return nil, err
		}
	} else {
		// With several types, the first has no effect, but other implementations of EC2 require one.
		if names := s.Servers.InstanceTypes(); len(names) > 0 {
			data.InstanceType = types.InstanceType(names[0])
		}
		data.SecurityGroupIds = s.Servers.SecurityGroupIDs
		data.IamInstanceProfile = profileSpecification(s.Servers.InstanceProfile)
		if encoded := s.Servers.EncodedUserData(); encoded != "" {
			data.UserData = &encoded
		}
	}
	data.ImageId = &s.ImageID
	setVolumes(data, image, s.Servers)
	if s.Servers.KeyName != "" {
		data.KeyName = &s.Servers.KeyName
	}
	if s.Servers.DetailedMonitoring {
		data.Monitoring = &types.LaunchTemplatesMonitoringRequest{Enabled: aws.Bool(true)}
	}
	if data.MetadataOptions == nil {
		data.MetadataOptions = &types.LaunchTemplateInstanceMetadataOptionsRequest{
			HttpEndpoint: types.LaunchTemplateInstanceMetadataEndpointStateEnabled,
		}
	}
	data.MetadataOptions.HttpTokens = types.LaunchTemplateHttpTokensStateRequired
	if s.Servers.OptionalTokens {
		data.MetadataOptions.HttpTokens = types.LaunchTemplateHttpTokensStateOptional
	}
	if s.Servers.MetadataHopLimit != 0 {
		data.MetadataOptions.HttpPutResponseHopLimit = &s.Servers.MetadataHopLimit
	}
	setTags(data, g.Tags(s.Tags), nil)
	return data, nil
}

// taggedKinds get their tags from a launch template. Instances get theirs from the Auto
// Scaling group, and those of a copied template beside them.
var taggedKinds = []types.ResourceType{types.ResourceTypeVolume, types.ResourceTypeNetworkInterface}

// setTags gives volumes and network interfaces the tags, beside those that the data has from a
// copied launch template, and without the obsolete ones.
func setTags(data *types.RequestLaunchTemplateData, tags tagging.Set, obsolete []string) {
	kinds := map[types.ResourceType]tagging.Set{}
	for _, specification := range data.TagSpecifications {
		copied := tagging.Set{}
		for _, tag := range specification.Tags {
			if key := aws.ToString(tag.Key); !slices.Contains(obsolete, key) {
				copied[key] = aws.ToString(tag.Value)
			}
		}
		kinds[specification.ResourceType] = copied
	}
	for _, kind := range taggedKinds {
		kinds[kind] = tagging.Merge(kinds[kind], tags)
	}
	data.TagSpecifications = nil
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		if len(kinds[kind]) > 0 {
			data.TagSpecifications = append(data.TagSpecifications,
				types.LaunchTemplateTagSpecificationRequest{ResourceType: kind, Tags: ec2Tags(kinds[kind])})
		}
	}
}

// copyTemplateData converts a launch template from the type that AWS returns to
// the type that it accepts. A test checks that both have the same fields.
func copyTemplateData(from *types.ResponseLaunchTemplateData) (*types.RequestLaunchTemplateData, error) {
	encoded, err := json.Marshal(from)
	if err != nil {
		return nil, fmt.Errorf("copy the launch template: %w", err)
	}
	to := &types.RequestLaunchTemplateData{}
	if err := json.Unmarshal(encoded, to); err != nil {
		return nil, fmt.Errorf("copy the launch template: %w", err)
	}
	return to, nil
}

func profileSpecification(profile string) *types.LaunchTemplateIamInstanceProfileSpecificationRequest {
	switch {
	case profile == "":
		return nil
	case strings.HasPrefix(profile, "arn:"):
		return &types.LaunchTemplateIamInstanceProfileSpecificationRequest{Arn: &profile}
	}
	return &types.LaunchTemplateIamInstanceProfileSpecificationRequest{Name: &profile}
}

// templateVersion returns one version of an existing launch template.
func (c *Cloud) templateVersion(ctx context.Context, t cluster.Template) (types.LaunchTemplateVersion, error) {
	wanted := t.Version
	if t.Number != 0 {
		wanted = strconv.FormatInt(t.Number, 10)
	}
	out, err := c.ec2.DescribeLaunchTemplateVersions(ctx, &ec2.DescribeLaunchTemplateVersionsInput{
		LaunchTemplateId: &t.ID, Versions: []string{wanted},
	})
	switch {
	case hasCode(err, append(templateGone, codeVersionNotFound)...) || err == nil && len(out.LaunchTemplateVersions) == 0:
		return types.LaunchTemplateVersion{}, fmt.Errorf("launch_template: version %s of %s does not exist in %s", wanted, t.ID, c.region)
	case err != nil:
		return types.LaunchTemplateVersion{}, fmt.Errorf("read launch template %s: %w", t.ID, err)
	}
	return out.LaunchTemplateVersions[0], nil
}

// template finds the generation's launch template; nil if it does not exist.
func (c *Cloud) template(ctx context.Context, g cluster.Generation) (*types.LaunchTemplate, error) {
	out, err := c.ec2.DescribeLaunchTemplates(ctx, &ec2.DescribeLaunchTemplatesInput{LaunchTemplateNames: []string{g.Name}})
	switch {
	case hasCode(err, templateGone...) || err == nil && len(out.LaunchTemplates) == 0:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read launch template %s: %w", g.Name, err)
	}
	return &out.LaunchTemplates[0], nil
}

// renewTemplate adds a version to the generation's launch template that differs
// from t only in its tags, and returns it.
func (c *Cloud) renewTemplate(
	ctx context.Context, g cluster.Generation, s cluster.Spec, t cluster.Template, obsolete []string,
) (cluster.Template, error) {
	used, err := c.templateVersion(ctx, t)
	if err != nil {
		return t, err
	}
	data, err := copyTemplateData(used.LaunchTemplateData)
	if err != nil {
		return t, err
	}
	setTags(data, g.Tags(s.Tags), obsolete)
	out, err := c.ec2.CreateLaunchTemplateVersion(ctx, &ec2.CreateLaunchTemplateVersionInput{
		LaunchTemplateId: &t.ID, LaunchTemplateData: data, VersionDescription: used.VersionDescription,
	})
	if err != nil {
		return t, fmt.Errorf("renew launch template %s: %w", g.Name, err)
	}
	if err := templateWarning(g, out.Warning); err != nil {
		return t, err
	}
	t.Version = strconv.FormatInt(aws.ToInt64(out.LaunchTemplateVersion.VersionNumber), 10)
	return t, nil
}

// RemoveTemplate implements cluster.Cloud.
func (c *Cloud) RemoveTemplate(ctx context.Context, g cluster.Generation) error {
	t, err := c.template(ctx, g)
	if t == nil || err != nil {
		return err
	}
	_, err = c.ec2.DeleteLaunchTemplate(ctx, &ec2.DeleteLaunchTemplateInput{LaunchTemplateId: t.LaunchTemplateId})
	if err != nil && !hasCode(err, templateGone...) {
		return fmt.Errorf("delete launch template %s: %w", g.Name, err)
	}
	return nil
}
