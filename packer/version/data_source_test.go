package version_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/sqlite"
	"github.com/pipes-as-code/terraform-provider-delivery/packer/version"
)

// newRepository has three versions of strawberry; the newest is revoked.
func newRepository(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "delivery.db")
	store, err := sqlite.Open(t.Context(), path, clock.NewFake(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // what was written is durable by now
	for _, a := range []builddata.Allocation{
		{SourceRevision: "a"},
		{SourceRevision: "b", Labels: map[string]string{"colour": "red"}},
		{SourceRevision: "c"},
	} {
		a.Service, a.Scheme, a.Bump = "strawberry", builddata.Semver, builddata.Minor
		if _, err := store.Allocate(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Revoke(t.Context(), "strawberry", "0.3.0", "it is sour"); err != nil {
		t.Fatal(err)
	}
	return "sqlite://" + filepath.ToSlash(path)
}

func output(name, revision string, number int64, labels cty.Value) cty.Value {
	tags := cty.MapVal(map[string]cty.Value{
		"service": cty.StringVal("strawberry"), "version": cty.StringVal(name), "revision": cty.StringVal(revision),
		"owner_team": cty.StringVal("fruit"), "run": cty.StringVal("run-7"),
	})
	return cty.ObjectVal(map[string]cty.Value{
		"service": cty.StringVal("strawberry"), "version": cty.StringVal(name), "number": cty.NumberIntVal(number),
		"source_revision": cty.StringVal(revision), "scheme": cty.StringVal("semver"), "labels": labels,
		"created_at": cty.StringVal("2026-11-22T12:00:00Z"), "tags": tags,
	})
}

func TestDataSource_Execute(t *testing.T) {
	t.Setenv("DELIVERY_RUN", "run-7")
	repository := newRepository(t)
	red := cty.MapVal(map[string]cty.Value{"colour": cty.StringVal("red")})
	none := cty.MapValEmpty(cty.String)
	for _, tt := range []struct {
		name string
		more map[string]any
		want cty.Value
		says string
	}{
		{"NewestNotRevoked", nil, output("0.2.0", "b", 2, red), ""},
		{"Newest", map[string]any{"allow_revoked": true}, output("0.3.0", "c", 3, none), ""},
		{"Named", map[string]any{"version": "0.1.0"}, output("0.1.0", "a", 1, none), ""},
		{"Revoked", map[string]any{"version": "0.3.0"}, cty.NilVal, "it is sour; set another version"},
		{"RevokedAllowed", map[string]any{"version": "0.3.0", "allow_revoked": true}, output("0.3.0", "c", 3, none), ""},
		{"Unknown", map[string]any{"version": "0.4.0"}, cty.NilVal, "delivery.db"},
		{"UnknownService", map[string]any{"service": "raspberry"}, cty.NilVal, "a version of service raspberry: not found"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			arguments := map[string]any{"repository": repository, "service": "strawberry", "owner_team": "fruit"}
			for name, value := range tt.more {
				arguments[name] = value
			}
			var d version.DataSource
			if err := d.Configure(arguments); err != nil {
				t.Fatal(err)
			}
			got, err := d.Execute()
			if tt.says != "" {
				if err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("got %v, want an error that says %q", err, tt.says)
				}
				return
			}
			if err != nil || !got.RawEquals(tt.want) {
				t.Errorf("got %#v and %v, want %#v", got, err, tt.want)
			}
		})
	}
}

func TestDataSource_Configure(t *testing.T) {
	var d version.DataSource
	err := d.Configure(map[string]any{"repository": "postgres://host"})
	if err == nil || !strings.Contains(err.Error(), `scheme "postgres" is unknown`) ||
		!strings.Contains(err.Error(), "argument service is missing") {
		t.Errorf("got %v, want both problems", err)
	}
}
