package pipefile_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipefile"
)

func TestLoader_Project(t *testing.T) {
	l := repository(t, map[string]string{".delivery.yml": `# the one file
pipe: application
service: strawberry
owner_team: fruit
solution: "1"
jdk: JDK8
terraform: 1.10
flag: True
none: ''
environment: qa
deploy:
  region: eu-north-1
  sizes: {small: 1, large: 0755}
a.b: c
secrets: [NEXUS_PASSWORD, slack_url]
text: |
  two
  lines
`})
	p, err := l.Project()
	if err != nil {
		t.Fatal(err)
	}
	if p.Pipe != "application" || p.Service != "strawberry" || p.OwnerTeam != "fruit" || p.Solution != "1" {
		t.Errorf("got %+v", p)
	}
	want := pipe.Values{
		"owner_team": "fruit", "solution": "1", "jdk": "JDK8", "terraform": "1.10", "flag": "true", "none": "", "environment": "qa",
		"deploy.region": "eu-north-1", "deploy.sizes.small": "1", "deploy.sizes.large": "0755", "a.b": "c", "text": "two\nlines\n",
	}
	if diff := cmp.Diff(want, p.Values); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"NEXUS_PASSWORD", "slack_url"}, p.Secrets); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{
		"pipe": "2:7", "service": "3:10", "solution": "5:11", "deploy.sizes.large": "13:28", "a.b": "14:6", "never": "2:1",
	} {
		if got := p.Position(name).String(); got != ".delivery.yml:"+want {
			t.Errorf("%s is at %s; want %s", name, got, want)
		}
	}
}

func TestLoader_ProjectDiagnostics(t *testing.T) {
	for name, test := range map[string]struct{ content, want string }{
		"WrongTypes": {"pipe: []\nservice: 12\nowner_team: {a: b}\nsolution:\nlibrary: {}\nsecrets: [1, a b]\n", `
.delivery.yml:1:7: is a list; expected a text for pipe: put it in quotes if it looks like another type
.delivery.yml:2:10: is the number 12; expected a text for service: put it in quotes if it looks like another type
.delivery.yml:3:13: is a table; expected a text for owner_team: put it in quotes if it looks like another type
.delivery.yml:4:10: is empty; expected a text for solution: put it in quotes if it looks like another type
.delivery.yml:5:10: is a table; expected a text or a list of texts for library
.delivery.yml:6:11: is the number 1; expected a text or a list of texts for secrets
.delivery.yml:6:14: "a b" is not a valid name of an environment variable or a value`},
		"Names": {"balthazar-pipe: x\n1a: x\nversion: 1\nrun: x\nenv: {HOME: x}\nä: x\n", `
.delivery.yml:1:1: "balthazar-pipe" is not a valid name of a value: use letters, digits and _, and do not begin with a digit; write balthazar_pipe
.delivery.yml:2:1: "1a" is not a valid name of a value: use letters, digits and _, and do not begin with a digit
.delivery.yml:3:1: the run sets version itself: choose another name
.delivery.yml:4:1: the run sets run itself: choose another name
.delivery.yml:5:7: names that begin with env. are reserved for environment variables: choose another name
.delivery.yml:6:1: "ä" is not a valid name of a value: use letters, digits and _, and do not begin with a digit`},
		"Values": {"a: [x]\nb:\nc: {}\nd: ${{ service }}\ne.f: 1\ne: {f: 2}\na: 2\n", `
.delivery.yml:1:4: is a list; expected a text: separate its parts by commas or spaces, as the command expects them
.delivery.yml:2:1: b has no value: add one, or remove the key
.delivery.yml:3:1: c has no value: add one, or remove the key
.delivery.yml:4:4: d is not evaluated here, and ${{ }} works in pipes only; commands find the version of the run in $DELIVERY_VERSION
.delivery.yml:6:5: duplicate key e.f, see line 5
.delivery.yml:7:1: duplicate key a, see line 1`},
		"List":  {"- a\n", "\n.delivery.yml:1:1: is a list; expected lines of key: value, such as pipe: ci"},
		"Empty": {"", "\n.delivery.yml:1:1: is empty"},
		"Wrong": {
			"a: b: c\n",
			"\n.delivery.yml:1:4: is not valid YAML: unexpected key: check the indentation, and put a text with a colon and a space in quotes",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := repository(t, map[string]string{".delivery.yml": test.content}).Project()
			var diags pipe.Diagnostics
			if !errors.As(err, &diags) {
				t.Fatalf("%v is not pipe.Diagnostics", err)
			}
			if diff := cmp.Diff(trim(test.want), diags.Error()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFind(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{".delivery.yml": "pipe: ci\n", "a/b/c": ""})
	found, err := pipefile.Find(filepath.Join(root, "a", "b"))
	if err != nil || found != root {
		t.Errorf("got %s, %v; want %s", found, err, root)
	}
	var none *pipefile.NotFoundError
	if _, err := pipefile.Find(t.TempDir()); !errors.As(err, &none) {
		t.Errorf("got %v; want NotFoundError", err)
	}
}

func TestTemplate(t *testing.T) {
	for _, service := range []string{"strawberry", "it's: a [service] #1", "true", "12", "-"} {
		for _, name := range []string{"", "cd"} {
			l := repository(t, map[string]string{".delivery.yml": string(pipefile.Template(service, name))})
			p, err := l.Project()
			if err != nil {
				t.Fatal(err)
			}
			if want := map[string]string{"": "ci", "cd": "cd"}[name]; p.Service != service || p.Pipe != want || len(p.Values) != 0 {
				t.Errorf("Template(%q, %q): got %+v", service, name, p)
			}
			if _, err := l.Pipe(t.Context(), ""); err != nil {
				t.Error(err)
			}
		}
	}
}
