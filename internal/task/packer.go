package task

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/id"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/process"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/stamp"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// packerGrace is how long Packer may take to end after an interrupt: it terminates
// the instance that it builds on, and removes what belongs to it.
const packerGrace = 5 * time.Minute

// packer builds machine images.
func (r *Registry) packer() pipe.Definition {
	return pipe.Definition{
		Type: "bake.packer", BuildsCheckout: true,
		Summary: "Builds AMIs with Packer, whose plugins have to be installed. " +
			"The output images lists them: eu-north-1=ami-1,eu-west-1=ami-2.",
		Arguments: []pipe.Argument{
			folderArgument,
			{Name: "template", Kind: pipe.Text, Summary: "The template, or a folder of templates, relative to the folder, which is the default."},
			{Name: "variables", Kind: pipe.Table, Summary: "The template's variables. " + onCommandLine},
			{Name: "packer", Kind: pipe.Text, Summary: "The program, by name or path; by default packer."},
		},
		Outputs: []string{"images"},
		Lacking: lacking("packer", "packer"),
		Run:     r.runPacker,
		Mock: mock(map[string]string{"images": "eu-north-1=ami-mock"}, func(c *pipe.Call) string {
			return "build " + path.Join(filepath.ToSlash(c.Args.Text("folder")), cmp.Or(c.Args.Text("template"), ".")) + " with Packer"
		}),
	}
}

// image is an AMI that was built.
type image struct{ region, id string }

func (r *Registry) runPacker(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
	dir, err := folder(c)
	if err != nil {
		return pipe.Result{}, err
	}
	args := []string{program(c, cmp.Or(c.Args.Text("packer"), "packer")), "build", "-machine-readable", "-color=false"}
	variables := c.Args.Table("variables")
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		args = append(args, "-var", name+"="+variables[name])
	}
	args = append(args, cmp.Or(c.Args.Text("template"), "."))
	version, err := r.bakedVersion(ctx, c)
	if err != nil {
		return pipe.Result{}, err
	}
	environ := append(slices.Clone(c.Environ), "CHECKPOINT_DISABLE=1")
	if version != nil {
		environ = append(environ, bakeVariable+"="+version.bake)
	}
	printf(c, "$ %s build %s", args[0], args[len(args)-1])

	read := &packerReader{to: c.Output}
	ended, err := process.Run(ctx, process.Command{
		Args: args, Dir: dir, Environ: environ,
		Stdout: read, Stderr: c.Output, Grace: packerGrace,
	})
	read.end()
	result := pipe.Result{}
	if ended.Forced {
		result.Warnings = append(result.Warnings, fmt.Sprintf(
			"Packer did not end within %s after it was interrupted, and was killed: the instance that it built on may still be running",
			packerGrace))
	}
	slices.SortFunc(read.images, func(a, b image) int { return cmp.Or(cmp.Compare(a.region, b.region), cmp.Compare(a.id, b.id)) })
	pairs, names := make([]string, len(read.images)), make([]string, len(read.images))
	for i, image := range read.images {
		pairs[i], names[i] = image.region+"="+image.id, image.region+" "+image.id
	}
	var exit *process.ExitError
	if errors.As(err, &exit) && read.lastError != "" {
		err = fmt.Errorf("%w: %s", err, text.Clip(text.Line(c.Mask(read.lastError)), 500))
	}
	switch {
	case err != nil && len(names) > 0:
		return result, fmt.Errorf("%w; it built %s before that", err, strings.Join(names, ", "))
	case err != nil:
		return result, err
	case len(names) == 0:
		return result, errors.New("it succeeded, but built no AMI: " +
			"the template needs a build with an amazon source, and no post-processor that discards its artifact")
	}
	result.Outputs = map[string]string{"images": strings.Join(pairs, ",")}
	result.Message = strings.Join(names, ", ")
	if version != nil {
		if err := version.offer(ctx, c, read.images); err != nil {
			return result, err
		}
	}
	return result, checkDeclared(c, result.Outputs)
}

// bakeVariable tells the post-processor delivery-stamp that a step runs Packer.
const bakeVariable = "DELIVERY_BAKE"

// bake is one execution of Packer for the version of the run.
type bake struct {
	store   stamp.Repository
	version builddata.Version
	bake    string
}

// bakedVersion returns the bake, nil if the run has no version. It fails before
// Packer starts if no image of the version may be baked.
func (r *Registry) bakedVersion(ctx context.Context, c *pipe.Call) (*bake, error) {
	if c.Run.Version == "" {
		return nil, nil
	}
	store, err := r.Store(ctx)
	if err != nil {
		return nil, err
	}
	v, err := store.Version(ctx, c.Run.Service, c.Run.Version)
	if err != nil {
		return nil, err
	}
	b := &bake{store: store, version: v, bake: id.New(r.Clock.Now())}
	return b, stamp.Check(ctx, store, v, b.bake)
}

// offer makes the images of the bake available, in one write. It fails if Packer
// built AMIs that are not among them.
func (b *bake) offer(ctx context.Context, c *pipe.Call, built []image) error {
	registered, err := b.store.Images(ctx, builddata.ImageQuery{Service: b.version.Service, Number: b.version.Number})
	if err != nil {
		return fmt.Errorf("the AMIs were built, but whether they are registered as images of version %s is unknown: %w", b.version.Name, err)
	}
	var missing []string
	for _, i := range built {
		if !slices.ContainsFunc(registered, func(r builddata.Image) bool { return r.Region == i.region && r.ID == i.id && r.Bake == b.bake }) {
			missing = append(missing, i.id+" in "+i.region)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s not registered as an image of version %s, so no image of this bake is available: "+
			"the template has no delivery-stamp post-processor, or it stamps another version or uses another repository",
			strings.Join(missing, ", "), b.version.Name)
	}
	offered, err := stamp.Offer(ctx, b.store, b.version, c.Run.Run, b.bake)
	if err != nil {
		return err
	}
	printf(c, "Available: %s", builddata.DescribeImages(offered))
	return nil
}

// packerReader reads Packer's machine-readable output. It prints the messages for
// people, and collects the AMIs.
type packerReader struct {
	to        io.Writer
	line      []byte
	images    []image
	lastError string
}

// maxPackerLine limits a line; the rest of a longer one is dropped.
const maxPackerLine = 1 << 20

// Write implements io.Writer.
func (r *packerReader) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		r.line = append(r.line, line[:min(len(line), maxPackerLine-len(r.line))]...)
		if whole {
			r.end()
		}
		rest = after
	}
	return len(p), nil
}

// end ends a line.
func (r *packerReader) end() {
	if len(r.line) > 0 {
		r.read(strings.TrimRight(string(r.line), "\r"))
	}
	r.line = r.line[:0]
}

// unescape undoes the escaping of fields.
var unescape = strings.NewReplacer("%!(PACKER_COMMA)", ",", `\n`, "\n", `\r`, "")

var packerTime = regexp.MustCompile(`^[0-9]+$`)

// read reads a line: time, target, type and the data of the type.
func (r *packerReader) read(line string) {
	fields := strings.Split(line, ",")
	if len(fields) < 3 || !packerTime.MatchString(fields[0]) {
		_, _ = fmt.Fprintln(r.to, line) // not machine-readable
		return
	}
	for i := range fields {
		fields[i] = unescape.Replace(fields[i])
	}
	switch kind, data := fields[2], fields[3:]; {
	case kind == "ui" && len(data) > 1:
		message := strings.Join(data[1:], ",")
		if data[0] == "error" {
			r.lastError = message
		}
		_, _ = fmt.Fprintln(r.to, message) // a failed print must not fail the step
	case kind == "artifact" && len(data) == 3 && data[1] == "id":
		for pair := range strings.SplitSeq(data[2], ",") {
			region, id, ok := strings.Cut(pair, ":")
			if i := (image{region, id}); ok && strings.HasPrefix(id, "ami-") && !slices.Contains(r.images, i) {
				r.images = append(r.images, i)
			}
		}
	}
}
