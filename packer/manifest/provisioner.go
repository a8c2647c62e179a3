// Package manifest is the Packer provisioner delivery-manifest, which writes the
// version into an image, so that programs on a server can read it.
package manifest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/packer-plugin-sdk/common"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/hashicorp/packer-plugin-sdk/template/interpolate"
	"github.com/hashicorp/packer-plugin-sdk/uuid"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/packer"
)

//go:generate go tool -modfile=../../tools/packer-sdc/go.mod packer-sdc mapstructure-to-hcl2 -type Config

const (
	defaultPath = "/etc/delivery/release.json"
	// defaultCommand works for root, with or without sudo, and for users who may use
	// sudo without a password.
	defaultCommand = `$(test "$(id -u)" -eq 0 || echo sudo -n) install -D -m 0644 {{ .Source }} {{ .Path }} && rm -f {{ .Source }}`
)

// Config holds the provisioner's arguments.
type Config struct {
	common.PackerConfig `mapstructure:",squash"`
	packer.VersionRef   `mapstructure:",squash"`
	packer.Origin       `mapstructure:",squash"`

	// The absolute path of the file on the machine that is built.
	// Defaults to `/etc/delivery/release.json`.
	Path string `mapstructure:"path"`
	// The command that moves the uploaded file `{{ .Source }}` to its path
	// `{{ .Path }}`, and creates the folder. Both are quoted for a shell.
	ExecuteCommand string `mapstructure:"execute_command"`
	// The folder that the file is uploaded to first, which must be writable for the
	// user that Packer signs in as. Defaults to `/tmp`.
	RemoteFolder string `mapstructure:"remote_folder"`

	ctx interpolate.Context
}

// Manifest is the content of the file.
type Manifest struct {
	Service        string            `json:"service"`
	Version        string            `json:"version"`
	Number         int64             `json:"number"`
	SourceRevision string            `json:"source_revision"`
	OwnerTeam      string            `json:"owner_team"`
	Solution       string            `json:"solution"`
	Run            string            `json:"run"`
	CreatedAt      time.Time         `json:"created_at"`
	Labels         map[string]string `json:"labels"`
}

// Provisioner is delivery-manifest.
type Provisioner struct{ config Config }

var _ packersdk.Provisioner = (*Provisioner)(nil)

// ConfigSpec implements packersdk.HCL2Speccer.
func (p *Provisioner) ConfigSpec() hcldec.ObjectSpec { return p.config.FlatMapstructure().HCL2Spec() }

// Prepare implements packersdk.Provisioner. It reports all problems at once.
func (p *Provisioner) Prepare(raws ...any) error {
	err := config.Decode(&p.config, &config.DecodeOpts{
		PluginType: "delivery-manifest", Interpolate: true, InterpolateContext: &p.config.ctx,
		InterpolateFilter: &interpolate.RenderFilter{Exclude: []string{"execute_command"}},
	}, raws...)
	if err != nil {
		return err
	}
	c := &p.config
	c.VersionRef.Complete()
	c.Origin.Complete()
	c.Path = cmp.Or(c.Path, defaultPath)
	c.ExecuteCommand = cmp.Or(c.ExecuteCommand, defaultCommand)
	c.RemoteFolder = cmp.Or(c.RemoteFolder, "/tmp")

	problems := append(c.CheckVersion(), c.Origin.Check()...)
	if packer.Known(c.Path) && (!path.IsAbs(c.Path) || strings.HasSuffix(c.Path, "/")) {
		problems = append(problems,
			fmt.Errorf("path: %q is not a valid path: expected an absolute path of a file, such as %s", c.Path, defaultPath))
	}
	return errors.Join(problems...)
}

// Provision implements packersdk.Provisioner.
func (p *Provisioner) Provision(ctx context.Context, ui packersdk.Ui, machine packersdk.Communicator, _ map[string]any) error {
	version, err := p.version(ctx)
	if err != nil {
		return p.config.Explain(err)
	}
	content, err := json.MarshalIndent(p.manifest(version), "", "  ")
	if err != nil {
		return fmt.Errorf("encode the manifest: %w", err)
	}
	ui.Sayf("Writing %s:\n%s", p.config.Path, content)
	return p.install(ctx, ui, machine, append(content, '\n'))
}

func (p *Provisioner) version(ctx context.Context) (builddata.Version, error) {
	store, err := p.config.Open(ctx)
	if err != nil {
		return builddata.Version{}, err
	}
	defer store.Close() //nolint:errcheck // only read
	v, err := store.Version(ctx, p.config.Service, p.config.Version)
	if err != nil {
		return builddata.Version{}, err
	}
	return builddata.Usable(v)
}

func (p *Provisioner) manifest(v builddata.Version) Manifest {
	return Manifest{
		Service: v.Service, Version: v.Name, Number: v.Number, SourceRevision: v.SourceRevision,
		OwnerTeam: p.config.OwnerTeam, Solution: p.config.Solution, Run: p.config.Run,
		CreatedAt: v.CreatedAt, Labels: v.Labels,
	}
}

// install uploads the file to a folder that the user may write to, and moves it from
// there by a command, which may become root.
func (p *Provisioner) install(ctx context.Context, ui packersdk.Ui, machine packersdk.Communicator, content []byte) error {
	source := path.Join(p.config.RemoteFolder, "delivery-release-"+uuid.TimeOrderedUUID()+".json")
	p.config.ctx.Data = map[string]string{"Source": quote(source), "Path": quote(p.config.Path)}
	command, err := interpolate.Render(p.config.ExecuteCommand, &p.config.ctx)
	if err != nil {
		return fmt.Errorf("execute_command: %w", err)
	}
	if err := machine.Upload(source, bytes.NewReader(content), nil); err != nil {
		return fmt.Errorf("upload the manifest to %s: %w; set remote_folder to a folder that is writable for Packer's user", source, err)
	}
	cmd := &packersdk.RemoteCmd{Command: command}
	if err := cmd.RunWithUi(ctx, machine, ui); err != nil {
		return fmt.Errorf("install the manifest at %s: %w", p.config.Path, err)
	}
	if status := cmd.ExitStatus(); status != 0 {
		return fmt.Errorf("install the manifest at %s: the command exited with status %d (%s); "+
			"see its output above, and set execute_command if this machine needs another command", p.config.Path, status, command)
	}
	return nil
}

// quote makes s one word of a POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
