package pipefile_test

import (
	"slices"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/expression"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// tasks are all that the built-in pipes use. Their arguments are judged
// where the tasks are.
type tasks struct{}

func (tasks) Task(name string) (pipe.Definition, bool) {
	d := pipe.Definition{Type: name, AnyArgument: true}
	switch name {
	case "init.version":
		d.Outputs = []string{"version", "number"}
	case "bake.packer":
		d.Outputs = []string{"images"}
	}
	return d, true
}

func (tasks) Types() []string { return nil }

func TestBuiltIn(t *testing.T) {
	for _, name := range []string{"ci", "cd", "cd-parallel", "release"} {
		t.Run(name, func(t *testing.T) {
			// A repository's own pieces do not change a built-in pipe.
			l := repository(t, map[string]string{".delivery.yml": "pipe: " + name + "\n", "pipes/build.yml": "- never\n"})
			p, err := l.Pipe(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			values := pipe.Values{}
			if name == "release" { // for an existing version
				values = pipe.Values{"version": "17", "number": "17", "qa_alarm": "a", "prod_alarm": "b"}
			} else {
				guarded(t, p)
			}
			if err := pipe.Check(p, tasks{}, expression.Language{}, values); err != nil {
				t.Error(err)
			}
			golden(t, outline(p))
		})
	}
}

// guarded checks that a pipe removes all of its environment, and promotes only
// what has passed its tests.
func guarded(t *testing.T, p *pipe.Pipe) {
	t.Helper()
	for _, step := range p.Tasks() {
		switch step.Task {
		case "provision.destroy":
			if got := step.Args["environment"].Data; got != "${{ environment }}" {
				t.Errorf("%s leaves servers that no state knows: its argument environment is %v", step.Name, got)
			}
		case "release.promote":
			required, _ := step.Args["requires"].Data.([]pipe.Value)
			if len(required) != 3 {
				t.Errorf("%s requires %v", step.Name, required)
			}
			for _, r := range required {
				name, _ := r.Data.(string)
				if _, _, err := p.Find(name); err != nil {
					t.Errorf("%s requires %q: %v", step.Name, name, err)
				}
			}
		}
	}
}

func TestBuiltIn_EveryFileIsDescribed(t *testing.T) {
	listings, err := repository(t, nil).List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range listings {
		if x.Description == "" || x.Diagnostics != nil {
			t.Errorf("%s: description %q, error %v", x.Name, x.Description, x.Diagnostics)
		}
		if whole := slices.Contains([]string{"ci", "cd", "cd-parallel", "release"}, x.Name); whole == x.Piece {
			t.Errorf("%s: piece is %t", x.Name, x.Piece)
		}
	}
}
