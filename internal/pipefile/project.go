package pipefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// ProjectFile is the configuration file of a checkout.
const ProjectFile = ".delivery.yml"

// Project is the content of .delivery.yml.
type Project struct {
	// At is the beginning of the file.
	At pipe.Position
	// Pipe is the name of the checkout's pipe. All four may be empty.
	Pipe, Service, OwnerTeam, Solution string
	// Secrets are the names of environment variables and values whose content is
	// never shown.
	Secrets []string
	// Values are all other keys, with owner_team and solution. The keys of
	// nested tables are joined with dots.
	Values pipe.Values

	libraries []written
	positions map[string]pipe.Position
}

// written is a text and its position.
type written struct {
	text string
	at   pipe.Position
}

// Position returns the position of a value: a name in Values, "pipe" or
// "service". If it is not set, that is the beginning of the file.
func (p *Project) Position(name string) pipe.Position {
	if at, ok := p.positions[name]; ok {
		return at
	}
	return p.At
}

// NotFoundError means that there is no .delivery.yml.
type NotFoundError struct {
	// Start is the folder where the search began.
	Start string
}

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("there is no %s in %s or above it; create one with \"delivery init\"", ProjectFile, e.Start)
}

// ExitCode is that of the command line.
func (e *NotFoundError) ExitCode() int { return exitcode.Usage }

// Find returns the nearest folder, from start upwards, with a .delivery.yml. The error is a *NotFoundError if there is none.
func Find(start string) (root string, err error) {
	start, err = filepath.Abs(start)
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(filepath.Join(dir, ProjectFile))
		if err == nil && info.Mode().IsRegular() {
			return dir, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if dir == filepath.Dir(dir) {
			return "", &NotFoundError{Start: start}
		}
	}
}

// Project reads .delivery.yml.
func (l *Loader) Project() (*Project, error) {
	if l.project != nil {
		return l.project, nil
	}
	s := checkout(l.Root)
	content, err := s.read(ProjectFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &NotFoundError{Start: l.Root}
	}
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", ProjectFile, unwrapped(err))
	}
	project, err := readProject(s.at(ProjectFile), content)
	if err != nil {
		return nil, err
	}
	l.project = project
	return project, nil
}

// reservedNames are the values that only the run itself sets.
var reservedNames = []string{
	pipe.ValueVersion, pipe.ValueNumber, pipe.ValueRun, pipe.ValueRevision, pipe.ValueBranch, pipe.ValueStatus, pipe.ValueFailedStep,
}

func readProject(file pipe.Position, content []byte) (*Project, error) {
	root, diags := parseDocument(file, content)
	if root == nil {
		return nil, diags
	}
	r := projectReader{
		reader:  reader{diags: diags},
		project: &Project{At: root.at, Values: pipe.Values{}, positions: map[string]pipe.Position{}},
	}
	if root.kind != table {
		r.diags.Add(root.at, "is %s; expected lines of key: value, such as pipe: ci", root.describe())
		return nil, r.diags
	}
	for _, p := range root.pairs {
		r.pair(p)
	}
	if err := inOrder(r.diags).Err(); err != nil {
		return nil, err
	}
	return r.project, nil
}

type projectReader struct {
	reader
	project *Project
}

func (r *projectReader) pair(p pair) {
	switch p.key {
	case keyPipe:
		r.project.Pipe = r.text(p)
	case pipe.ValueService:
		r.project.Service = r.text(p)
	case "owner_team":
		r.project.OwnerTeam = r.text(p)
		r.project.Values[p.key] = r.project.OwnerTeam
	case "solution":
		r.project.Solution = r.text(p)
		r.project.Values[p.key] = r.project.Solution
	case "library":
		r.project.libraries = r.texts(p)
	case "secrets":
		for _, name := range r.texts(p) {
			if !pipe.ValueName.MatchString(name.text) {
				r.diags.Add(name.at, "%q is not a valid name of an environment variable or a value", clip(name.text))
			}
			r.project.Secrets = append(r.project.Secrets, name.text)
		}
	default:
		r.value(p.key, p)
	}
}

// text reads the text of a key other than a value's.
func (r *projectReader) text(p pair) string {
	_, ok := p.value.data.(string)
	switch {
	case p.value.kind != scalar || !ok || strings.TrimSpace(p.value.text) == "":
		r.diags.Add(p.value.at, "is %s; expected a text for %s: put it in quotes if it looks like another type", p.value.describe(), p.key)
	case strings.ContainsFunc(p.value.text, unicode.IsControl):
		r.diags.Add(p.value.at, "%s must be one line", p.key)
	default:
		r.plain(p.key, p.value)
	}
	r.project.positions[p.key] = p.value.at
	return p.value.text
}

// texts reads a text or a list of texts.
func (r *projectReader) texts(p pair) []written {
	items := []*node{p.value}
	if p.value.kind == list {
		items = p.value.items
	}
	var all []written
	for _, item := range items {
		if _, ok := item.data.(string); item.kind != scalar || !ok || item.text == "" {
			r.diags.Add(item.at, "is %s; expected a text or a list of texts for %s", item.describe(), p.key)
			continue
		}
		all = append(all, written{text: item.text, at: item.at})
	}
	return all
}

// value reads a value, or a table of them.
func (r *projectReader) value(name string, p pair) {
	before, duplicate := r.project.positions[name]
	top, _, _ := strings.Cut(name, ".")
	switch {
	case p.value.kind == table && len(p.value.pairs) > 0:
		for _, inner := range p.value.pairs {
			r.value(name+"."+inner.key, inner)
		}
		return
	case !pipe.ValueName.MatchString(name):
		r.diags.Add(p.at, "%q is not a valid name of a value: use letters, digits and _, and do not begin with a digit%s",
			clip(name), r.suggestion(name))
	case slices.Contains(reservedNames, name):
		r.diags.Add(p.at, "the run sets %s itself: choose another name", name)
	case top == "env":
		r.diags.Add(p.at, "names that begin with env. are reserved for environment variables: choose another name")
	case duplicate:
		r.diags.Add(p.at, "duplicate key %s, see line %d", name, before.Line)
	case p.value.kind == list:
		r.diags.Add(p.value.at, "is a list; expected a text: separate its parts by commas or spaces, as the command expects them")
	case p.value.kind == table || p.value.data == nil:
		r.diags.Add(p.at, "%s has no value: add one, or remove the key", name)
	default:
		r.plain(name, p.value)
		r.project.Values[name] = p.value.text
	}
	r.project.positions[name] = p.value.at
}

// suggestion suggests a similar name that is valid.
func (r *projectReader) suggestion(name string) string {
	if other := strings.Map(func(c rune) rune {
		if c == '-' || c == ' ' {
			return '_'
		}
		return c
	}, name); pipe.ValueName.MatchString(other) {
		return "; write " + other
	}
	return ""
}

// plain refuses expressions, which are not evaluated here.
func (r *projectReader) plain(name string, n *node) {
	if strings.Contains(n.text, "${{") {
		r.diags.Add(n.at, "%s is not evaluated here, and ${{ }} works in pipes only; "+
			"commands find the version of the run in $DELIVERY_VERSION", name)
	}
}
