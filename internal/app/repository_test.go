package app_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/app"
)

func TestResolveRepository(t *testing.T) {
	home := t.TempDir()
	environment := func(t *testing.T, set map[string]string) {
		for _, name := range []string{app.RepositoryVariable, "XDG_DATA_HOME", "LocalAppData"} {
			t.Setenv(name, set[name])
		}
		t.Setenv("HOME", home)
	}
	for _, tt := range []struct {
		name    string
		address string
		env     map[string]string
		want    string
	}{
		{"Argument", "sqlite:///a/b%20c.db", map[string]string{app.RepositoryVariable: "sqlite:///other.db"}, "/a/b c.db"},
		{"Variable", "", map[string]string{app.RepositoryVariable: "sqlite:///a/b.db"}, "/a/b.db"},
		{"XDG", "", map[string]string{"XDG_DATA_HOME": "/data"}, "/data/delivery/delivery.db"},
		{"Home", "", nil, filepath.Join(home, ".local/share/delivery/delivery.db")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			environment(t, tt.env)
			got, err := app.ResolveRepository(tt.address)
			if err != nil || got != tt.want {
				t.Errorf("got %q and %v, want %q", got, err, tt.want)
			}
		})
	}
	for address, says := range map[string]string{
		"postgres://host/db":  `scheme "postgres" is unknown`,
		"/a/b.db":             "a URL with a scheme",
		"sqlite://a/b.db":     "not absolute",
		"sqlite:a.db":         "not absolute",
		"sqlite:///":          "path of the file is missing",
		"sqlite:///a.db?x=1":  "takes no options",
		"sqlite://%zz":        "no URL",
		"dynamodb://versions": `scheme "dynamodb" is unknown`,
	} {
		t.Run(address, func(t *testing.T) {
			environment(t, nil)
			got, err := app.ResolveRepository(address)
			if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), address) {
				t.Errorf("got %q and %v, want an error that says %q and repeats the address", got, err, says)
			}
		})
	}
}
