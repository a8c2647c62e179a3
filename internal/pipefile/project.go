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

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// ProjectFile is the one file that a repository needs.
const ProjectFile = ".delivery.yml"

// Project is what .delivery.yml says.
type Project struct {
	// At is the beginning of the file.
	At pipe.Position
	// Pipe is the pipe that the repository uses. All four may be empty.
	Pipe, Service, OwnerTeam, Solution string
	// Secrets are the names of environment variables, and of values, that are
	// never shown.
	Secrets []string
	// Values are all other keys, with owner_team and solution. The keys of
	// nested tables are joined with dots.
	Values pipe.Values

	libraries []written
	positions map[string]pipe.Position
}

// written is a text and its place.
type written struct {
	text string
	at   pipe.Position
}

// Position returns where a value is written: a name in Values, "pipe" or
// "service". If it is not, that is the beginning of the file.
func (p *Project) Position(name string) pipe.Position {
	if at, ok := p.positions[name]; ok {
		return at
	}
	return p.At
}

// NotFoundError says that there is no .delivery.yml.
type NotFoundError struct {
	// Start is the folder from which it was looked for upwards.
	Start string
}

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("there is no %s in %s or above it; \"delivery init\" writes one", ProjectFile, e.Start)
}

// Find returns the nearest folder, from start upwards, that holds a
// .delivery.yml. The error is a *NotFoundError if there is none.
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
	s := repository(l.Root)
	content, err := s.read(ProjectFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &NotFoundError{Start: l.Root}
	}
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", ProjectFile, unwrapped(err))
	}
	project, err := readProject(content)
	if err != nil {
		return nil, err
	}
	l.project = project
	return project, nil
}

// ownNames are the values that a run sets itself, and which nobody else can.
var ownNames = []string{
	pipe.ValueVersion, pipe.ValueNumber, pipe.ValueRun, pipe.ValueRevision, pipe.ValueBranch, pipe.ValueStatus, pipe.ValueFailedStep,
}

func readProject(content []byte) (*Project, error) {
	root, faults := parseDocument(ProjectFile, content)
	if root == nil {
		return nil, faults
	}
	r := projectReader{reader: reader{faults: faults}, project: &Project{At: root.at, Values: pipe.Values{}, positions: map[string]pipe.Position{}}}
	if root.kind != table {
		r.faults.Add(root.at, "is %s; lines of key: value are expected, as in pipe: ci", root.describe())
		return nil, r.faults
	}
	for _, p := range root.pairs {
		r.pair(p)
	}
	if err := inOrder(r.faults).Err(); err != nil {
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
				r.faults.Add(name.at, "%q is no name of an environment variable or a value", clip(name.text))
			}
			r.project.Secrets = append(r.project.Secrets, name.text)
		}
	default:
		r.value(p.key, p)
	}
}

// text reads one of the keys with a meaning of its own.
func (r *projectReader) text(p pair) string {
	_, ok := p.value.data.(string)
	switch {
	case p.value.kind != scalar || !ok || strings.TrimSpace(p.value.text) == "":
		r.faults.Add(p.value.at, "is %s; %s is a text: if it looks like something else, put it in quotes", p.value.describe(), p.key)
	case strings.ContainsFunc(p.value.text, unicode.IsControl):
		r.faults.Add(p.value.at, "%s is one line", p.key)
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
			r.faults.Add(item.at, "is %s; %s is a text, or a list of texts", item.describe(), p.key)
			continue
		}
		all = append(all, written{text: item.text, at: item.at})
	}
	return all
}

// value reads a value, or a table of them.
func (r *projectReader) value(name string, p pair) {
	before, twice := r.project.positions[name]
	top, _, _ := strings.Cut(name, ".")
	switch {
	case p.value.kind == table && len(p.value.pairs) > 0:
		for _, inner := range p.value.pairs {
			r.value(name+"."+inner.key, inner)
		}
		return
	case !pipe.ValueName.MatchString(name):
		r.faults.Add(p.at, "%q is no name of a value: a name is letters, digits and _, not beginning with a digit%s", clip(name), r.spelled(name))
	case slices.Contains(ownNames, name):
		r.faults.Add(p.at, "%s is set by the run itself: choose another name", name)
	case top == "env":
		r.faults.Add(p.at, "names that begin with env. are those of environment variables: choose another name")
	case twice:
		r.faults.Add(p.at, "%s is there already, in line %d", name, before.Line)
	case p.value.kind == list:
		r.faults.Add(p.value.at, "is a list; a value is one text, so write its parts with commas or spaces between them, as the command that takes it has them")
	case p.value.kind == table || p.value.data == nil:
		r.faults.Add(p.at, "%s has no value: give it one, or leave it out", name)
	default:
		r.plain(name, p.value)
		r.project.Values[name] = p.value.text
	}
	r.project.positions[name] = p.value.at
}

// spelled suggests a name that is one.
func (r *projectReader) spelled(name string) string {
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

// plain refuses what looks as if it were evaluated.
func (r *projectReader) plain(name string, n *node) {
	if strings.Contains(n.text, "${{") {
		r.faults.Add(n.at, "%s is a text as it stands here: ${{ }} is for pipes; commands find the version of the run in $DELIVERY_VERSION", name)
	}
}
