package task

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/process"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// packerGrace is how long Packer has to end after an interruption: it
// terminates the server that it bakes on, and removes what belongs to it.
const packerGrace = 5 * time.Minute

// packer bakes machine images.
func (l *Library) packer() pipe.Definition {
	return pipe.Definition{
		Type: "bake.packer", Summary: "Bakes AMIs with Packer, whose plugins have to be installed. The value images lists them, as in eu-north-1=ami-1,eu-west-1=ami-2.",
		Arguments: []pipe.Argument{
			folderArgument,
			{Name: "template", Kind: pipe.Text, Summary: "The template, or a folder of them, from the folder, which is the default."},
			{Name: "variables", Kind: pipe.Table, Summary: "The template's variables. Lists and maps are written as a text that holds HCL. They are passed on the command line, which others on the machine can see: no place for secrets."},
			{Name: "packer", Kind: pipe.Text, Summary: "The program, by name or path; by default packer."},
		},
		Outputs: []string{"images"},
		Run:     l.runPacker,
		Mock: mock(map[string]string{"images": "eu-north-1=ami-mock"}, func(c *pipe.Call) string {
			return "bake " + cmp.Or(c.Args.Text("template"), ".") + " with Packer"
		}),
	}
}

// image is an AMI that was baked.
type image struct{ region, id string }

func (l *Library) runPacker(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
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
	say(c, "$ %s build %s", args[0], args[len(args)-1])

	read := &packerReader{to: c.Output}
	ended, err := process.Run(ctx, process.Command{
		Args: args, Dir: dir, Environ: append(slices.Clone(c.Environ), "CHECKPOINT_DISABLE=1"),
		Stdout: read, Stderr: c.Output, Grace: packerGrace,
	})
	read.end()
	result := pipe.Result{}
	if ended.Forced {
		result.Warnings = append(result.Warnings, fmt.Sprintf("Packer did not end within %s after it was interrupted, and was killed: the server that it baked on may still run", packerGrace))
	}
	slices.SortFunc(read.images, func(a, b image) int { return cmp.Or(cmp.Compare(a.region, b.region), cmp.Compare(a.id, b.id)) })
	pairs, words := make([]string, len(read.images)), make([]string, len(read.images))
	for i, image := range read.images {
		pairs[i], words[i] = image.region+"="+image.id, image.region+" "+image.id
	}
	var exit *process.ExitError
	if errors.As(err, &exit) && read.lastError != "" {
		err = fmt.Errorf("%w: %s", err, text.Clip(text.Line(read.lastError), 500))
	}
	switch {
	case err != nil && len(words) > 0:
		return result, fmt.Errorf("%w; it made %s before that", err, strings.Join(words, ", "))
	case err != nil:
		return result, err
	case len(words) == 0:
		return result, errors.New("it succeeded, but made no AMI: let the template have a build with an amazon source, and no post-processor that throws its artifact away")
	}
	result.Outputs = map[string]string{"images": strings.Join(pairs, ",")}
	result.Message = strings.Join(words, ", ")
	if warning := l.unregistered(ctx, c, read.images); warning != "" {
		result.Warnings = append(result.Warnings, warning)
	}
	return result, checkDeclared(c, result.Outputs)
}

// unregistered says which AMIs the repository does not know; empty if none.
func (l *Library) unregistered(ctx context.Context, c *pipe.Call, baked []image) string {
	if c.Run.Version == "" {
		return ""
	}
	unknown := func(err error) string {
		return fmt.Sprintf("it is not known whether the AMIs are registered as those of version %s: %v", c.Run.Version, err)
	}
	store, err := l.Store(ctx)
	if err != nil {
		return unknown(err)
	}
	v, err := store.Version(ctx, c.Run.Service, c.Run.Version)
	if err != nil {
		return unknown(err)
	}
	registered, err := store.Images(ctx, builddata.ImageQuery{Service: v.Service, Number: v.Number})
	if err != nil {
		return unknown(err)
	}
	var missing []string
	for _, i := range baked {
		if !slices.ContainsFunc(registered, func(r builddata.Image) bool { return r.Region == i.region && r.ID == i.id }) {
			missing = append(missing, i.id+" in "+i.region)
		}
	}
	if len(missing) == 0 {
		return ""
	}
	return fmt.Sprintf("%s not registered as an image of version %s: the template has no delivery-stamp post-processor, or it stamps another version or reports to another repository", strings.Join(missing, ", "), v.Name)
}

// packerReader reads what Packer prints for machines, prints for people what
// is meant for them, and keeps the AMIs.
type packerReader struct {
	to        io.Writer
	line      []byte
	images    []image
	lastError string
}

// maxPackerLine bounds a line; the rest of a longer one is left out.
const maxPackerLine = 1 << 20

// Write implements io.Writer.
func (r *packerReader) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		text, after, whole := bytes.Cut(rest, []byte("\n"))
		r.line = append(r.line, text[:min(len(text), maxPackerLine-len(r.line))]...)
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

// unescape undoes what Packer does to the fields of its lines.
var unescape = strings.NewReplacer("%!(PACKER_COMMA)", ",", `\n`, "\n", `\r`, "")

var packerTime = regexp.MustCompile(`^[0-9]+$`)

// read reads a line: time, target, type and what belongs to the type.
func (r *packerReader) read(text string) {
	fields := strings.Split(text, ",")
	if len(fields) < 3 || !packerTime.MatchString(fields[0]) {
		_, _ = fmt.Fprintln(r.to, text) // not one for machines
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
		_, _ = fmt.Fprintln(r.to, message) // what is printed is not what is done
	case kind == "artifact" && len(data) == 3 && data[1] == "id":
		for pair := range strings.SplitSeq(data[2], ",") {
			region, id, ok := strings.Cut(pair, ":")
			if i := (image{region, id}); ok && strings.HasPrefix(id, "ami-") && !slices.Contains(r.images, i) {
				r.images = append(r.images, i)
			}
		}
	}
}
