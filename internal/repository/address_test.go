package repository_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/repository"
)

// environment sets the variables that the default address depends on.
func environment(t *testing.T, home string, set map[string]string) {
	t.Helper()
	for _, name := range []string{repository.Variable, "XDG_DATA_HOME", "LocalAppData"} {
		t.Setenv(name, set[name])
	}
	t.Setenv("HOME", home)
}

func TestResolve(t *testing.T) {
	home := t.TempDir()
	for _, tt := range []struct {
		name     string
		argument string
		env      map[string]string
		want     string
	}{
		{"Argument", "sqlite:///a/b%20c.db", map[string]string{repository.Variable: "sqlite:///other.db"}, "sqlite:///a/b%20c.db"},
		{"Variable", "", map[string]string{repository.Variable: "sqlite:///a/b.db"}, "sqlite:///a/b.db"},
		{"XDG", "", map[string]string{"XDG_DATA_HOME": "/data"}, "sqlite:///data/delivery/delivery.db"},
		{"RelativeXDG", "", map[string]string{"XDG_DATA_HOME": "data"}, "sqlite://" + home + "/.local/share/delivery/delivery.db"},
		{"Home", "", nil, "sqlite://" + home + "/.local/share/delivery/delivery.db"},
		{"NotClean", "sqlite:///a//./b.db", nil, "sqlite:///a/b.db"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			environment(t, home, tt.env)
			got, err := repository.Resolve(tt.argument)
			if err != nil || got.String() != tt.want {
				t.Errorf("got %q and %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestResolve_RefusesInvalidAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"postgres://host/db": `the scheme "postgres" is unknown`,
		"/a/b.db":            "has no scheme",
		"sqlite://a/b.db":    "not absolute",
		"sqlite:a.db":        "not absolute",
		"sqlite:///":         "path of the file is missing",
		"sqlite:///a.db?x=1": "takes no options",
		"sqlite:///a.db#x":   "takes no options",
		"sqlite://%zz":       "not a valid URL",
	} {
		t.Run(address, func(t *testing.T) {
			environment(t, t.TempDir(), nil)
			if got, err := repository.Resolve(address); err == nil || !strings.Contains(err.Error(), want) ||
				!strings.Contains(err.Error(), address) {
				t.Errorf("got %q and %v, want an error that contains %q and the address", got, err, want)
			}
			t.Setenv(repository.Variable, address)
			if _, err := repository.Resolve(""); err == nil || !strings.Contains(err.Error(), "(from DELIVERY_REPOSITORY)") {
				t.Errorf("got %v, want an error that names the variable", err)
			}
		})
	}
}

// A repository can be opened by its printed address, as the programs inside a pipe do,
// whatever characters are in its path.
func TestAddress_AnyPath(t *testing.T) {
	for _, folder := range []string{"plain", "data 100%", "what?", "a#b", "ümläut", "a%25b", "a%3Fb", "semi;colon&more"} {
		t.Run(folder, func(t *testing.T) {
			environment(t, t.TempDir(), map[string]string{"XDG_DATA_HOME": filepath.Join(t.TempDir(), folder)})
			outer, err := repository.Resolve("")
			if err != nil {
				t.Fatal(err)
			}
			if exists, err := outer.Exists(t.Context()); exists || err != nil {
				t.Errorf("got %t and %v before it was opened", exists, err)
			}
			store, err := repository.Open(t.Context(), outer, repository.Config{Clock: clock.System{}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := store.Allocate(t.Context(), builddata.Allocation{Service: "web", Scheme: builddata.Sequence}); err != nil {
				t.Error(err)
			}
			if err := store.Close(); err != nil {
				t.Error(err)
			}

			t.Setenv(repository.Variable, outer.String())
			inner, err := repository.Resolve("")
			if err != nil {
				t.Fatal(err)
			}
			if inner != outer || inner.Key() != outer.Key() {
				t.Errorf("got the address %s, want %s", inner, outer)
			}
			if exists, err := inner.Exists(t.Context()); !exists || err != nil {
				t.Errorf("got %t and %v, want that the repository exists", exists, err)
			}
		})
	}
}

func TestAddress_KeysDiffer(t *testing.T) {
	keys := map[string]string{}
	for _, address := range []string{"sqlite:///a/delivery.db", "sqlite:///b/delivery.db", "sqlite:///a/delivery.db.db"} {
		a, err := repository.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := keys[a.Key()]; ok {
			t.Errorf("%s and %s have the same key", address, other)
		}
		keys[a.Key()] = address
	}
}

func TestOpen_RefusesNoAddress(t *testing.T) {
	if _, err := repository.Open(t.Context(), repository.Address{}, repository.Config{Clock: clock.System{}}); err == nil {
		t.Error("got no error")
	}
}
