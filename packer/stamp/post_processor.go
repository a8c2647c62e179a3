// Package stamp is the Packer post-processor delivery-stamp, which tags and registers
// the AMIs of a build as images of a version.
package stamp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/packer-plugin-sdk/common"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/hashicorp/packer-plugin-sdk/template/interpolate"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/awscloud"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/id"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/stamp"
	"github.com/pipes-as-code/terraform-provider-delivery/packer"
)

//go:generate go tool -modfile=../../tools/packer-sdc/go.mod packer-sdc mapstructure-to-hcl2 -type Config,AssumeRole

// Config holds the post-processor's arguments.
type Config struct {
	common.PackerConfig `mapstructure:",squash"`
	packer.VersionRef   `mapstructure:",squash"`
	packer.Origin       `mapstructure:",squash"`

	// Further tags for the images and their snapshots.
	Tags map[string]string `mapstructure:"tags"`
	// The files and folders that the image is built from. The digest that is
	// registered with the images is made of their names and contents and the source
	// AMI; without inputs there is none.
	Inputs []string `mapstructure:"inputs"`
	// The AMI that the image was built on. Defaults to what the builder reports.
	SourceAMI string `mapstructure:"source_ami"`
	// Images to stamp instead of those of the build, each as `region:ami-id`. This
	// completes images that an earlier build stamped only partly.
	Images []string `mapstructure:"images"`
	// The architectures that make a bake complete, for example `x86_64` and `arm64`: no
	// image is available until there is one of each. Without it, each source counts alone.
	// In a pipe, all sources count together.
	Architectures []string `mapstructure:"architectures"`

	// The profile in the shared AWS configuration files. Defaults to `AWS_PROFILE`.
	Profile string `mapstructure:"profile"`
	// The IAM role to act as.
	AssumeRole *AssumeRole `mapstructure:"assume_role"`
	// Addresses that replace those of the AWS services `ec2` and `sts`.
	Endpoints map[string]string `mapstructure:"endpoints"`

	ctx interpolate.Context
}

// AssumeRole names a role to act as.
type AssumeRole struct {
	// The ARN of the role.
	RoleARN string `mapstructure:"role_arn" required:"true"`
	// The name of the session, as it appears in CloudTrail. Defaults to
	// `packer-plugin-delivery`.
	SessionName string `mapstructure:"session_name"`
	// The external id that the role's trust policy asks for.
	ExternalID string `mapstructure:"external_id"`
}

// CloudOpener opens AWS.
type CloudOpener func(ctx context.Context, c awscloud.Config) (stamp.Cloud, error)

// PostProcessor is delivery-stamp.
type PostProcessor struct {
	openCloud CloudOpener
	config    Config
}

var _ packersdk.PostProcessor = (*PostProcessor)(nil)

// New returns the post-processor, which opens AWS with openCloud.
func New(openCloud CloudOpener) *PostProcessor { return &PostProcessor{openCloud: openCloud} }

// ConfigSpec implements packersdk.HCL2Speccer.
func (p *PostProcessor) ConfigSpec() hcldec.ObjectSpec { return p.config.FlatMapstructure().HCL2Spec() }

// Configure implements packersdk.PostProcessor. It reports all problems at once.
func (p *PostProcessor) Configure(raws ...any) error {
	err := config.Decode(&p.config, &config.DecodeOpts{
		PluginType: "delivery-stamp", Interpolate: true, InterpolateContext: &p.config.ctx,
	}, raws...)
	if err != nil {
		return err
	}
	p.config.VersionRef.Complete()
	p.config.Origin.Complete()
	return p.config.check()
}

// endpoints are the AWS services that this post-processor calls.
var endpoints = []string{"ec2", "sts"}

func (c *Config) check() error {
	problems := append(c.CheckVersion(), c.Origin.Check()...)
	tags := maps.Clone(c.Tags)
	maps.DeleteFunc(tags, func(_, value string) bool { return !packer.Known(value) })
	if err := stamp.ValidateTags(tags); err != nil {
		problems = append(problems, fmt.Errorf("tags: %w", err))
	}
	if err := stamp.CheckInputs(packer.KnownOf(c.Inputs)); err != nil {
		problems = append(problems, fmt.Errorf("inputs: %w", err))
	}
	if images := packer.KnownOf(c.Images); len(images) > 0 {
		if _, err := stamp.ParseImages(strings.Join(images, ",")); err != nil {
			problems = append(problems, fmt.Errorf("images: %w", err))
		}
	}
	if c.AssumeRole != nil && c.AssumeRole.RoleARN == "" {
		problems = append(problems, errors.New("assume_role: the argument role_arn is missing"))
	}
	for service := range c.Endpoints {
		if !slices.Contains(endpoints, service) {
			problems = append(problems,
				fmt.Errorf("endpoints: %q is not a service that is called here: use %s", service, strings.Join(endpoints, ", ")))
		}
	}
	return errors.Join(problems...)
}

// PostProcess implements packersdk.PostProcessor. It returns the artifact unchanged,
// and keeps it regardless of keep_input_artifact: registered images must exist.
func (p *PostProcessor) PostProcess(
	ctx context.Context, ui packersdk.Ui, artifact packersdk.Artifact,
) (result packersdk.Artifact, keep, forceOverride bool, err error) {
	err = p.stamp(ctx, ui, artifact)
	var unrecorded *stamp.UnrecordedError
	if errors.As(err, &unrecorded) {
		// If this returned the error, Packer would destroy the registered images.
		ui.Error(unrecorded.Error())
		return artifact, true, true, nil
	}
	if err != nil {
		return nil, false, false, err
	}
	return artifact, true, true, nil
}

func (p *PostProcessor) stamp(ctx context.Context, ui packersdk.Ui, artifact packersdk.Artifact) error {
	if len(p.config.Images) > 0 {
		images, err := stamp.ParseImages(strings.Join(p.config.Images, ","))
		if err != nil {
			return fmt.Errorf("images: %w", err)
		}
		return p.stampImages(ctx, ui, images, p.config.SourceAMI)
	}
	images, err := stamp.ParseImages(artifact.Id())
	if err != nil {
		return fmt.Errorf("%w; use delivery-stamp with the builders of the Amazon plugin that build AMIs (this artifact is from %s)",
			err, artifact.BuilderId())
	}
	source := p.config.SourceAMI
	if source == "" {
		source = sourceAMI(artifact)
	}
	if err := p.stampImages(ctx, ui, images, source); err != nil {
		return fmt.Errorf("%w\n\n%s", err, afterwards(images, source))
	}
	return nil
}

func (p *PostProcessor) stampImages(ctx context.Context, ui packersdk.Ui, images []stamp.Image, source string) error {
	store, err := p.config.Open(ctx)
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // what was written is durable by now
	// Each image is tagged in its own region; that of the first is used instead of one
	// in the environment, which may not be set.
	cloud, err := p.openCloud(ctx, p.config.aws(images[0].Region))
	if err != nil {
		return err
	}
	bake, inStep := os.LookupEnv(packer.BakeVariable)
	if !inStep {
		bake = cmp.Or(os.Getenv("PACKER_RUN_UUID"), id.New(clock.System{}.Now()))
	}
	err = stamp.New(cloud, store, ui.Sayf).Stamp(ctx, stamp.Request{
		Images: images, Service: p.config.Service, Version: p.config.Version,
		OwnerTeam: p.config.OwnerTeam, Solution: p.config.Solution, Run: p.config.Run, Tags: p.config.Tags,
		SourceImage: source, Inputs: p.config.Inputs,
		Bake: bake, Hold: inStep, Architectures: packer.KnownOf(p.config.Architectures),
	})
	return p.config.Explain(err)
}

func (c *Config) aws(region string) awscloud.Config {
	out := awscloud.Config{Region: region, Profile: c.Profile, Endpoints: c.Endpoints}
	if role := c.AssumeRole; role != nil {
		out.AssumeRole = &awscloud.AssumeRole{RoleARN: role.RoleARN, SessionName: role.SessionName, ExternalID: role.ExternalID}
		if out.AssumeRole.SessionName == "" {
			out.AssumeRole.SessionName = "packer-plugin-delivery"
		}
	}
	return out
}

// afterwards explains what Packer does with the artifact of a build whose post-processor
// failed (CoreBuild.Run in packer/build.go): it destroys it, unless the first
// post-processor of a sequence asked to keep it.
func afterwards(images []stamp.Image, source string) string {
	quoted := make([]string, len(images))
	for i, image := range images {
		quoted[i] = fmt.Sprintf("%q", image)
	}
	arguments := "images = [" + strings.Join(quoted, ", ") + "]"
	if source != "" {
		arguments += fmt.Sprintf(" and source_ami = %q", source)
	}
	return "  In Packer:     it now deregisters these AMIs and the build has to run again, " +
		"unless another post-processor keeps them, as \"manifest\" does;" +
		"\n                 if they are kept, stamp them in a build of source \"null\", in which delivery-stamp has " + arguments + "."
}

// sourceAMI returns the source AMI that the Amazon plugin reports, if any. The map's type
// depends on how Packer encodes calls of plugins.
func sourceAMI(artifact packersdk.Artifact) string {
	var value any
	switch data := artifact.State("generated_data").(type) {
	case map[string]any:
		value = data["SourceAMI"]
	case map[any]any:
		value = data["SourceAMI"]
	}
	switch id := value.(type) {
	case string:
		return id
	case []byte:
		return string(id)
	}
	return ""
}
