package manifest_test

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/sqlite"
	"github.com/pipes-as-code/terraform-provider-delivery/packer/manifest"
)

var allocated = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// arguments name version 1 of strawberry in a new repository.
func arguments(t *testing.T, more map[string]any) map[string]any {
	t.Helper()
	path := filepath.Join(t.TempDir(), "delivery.db")
	store, err := sqlite.Open(t.Context(), path, clock.NewFake(allocated))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // what was written is durable by now
	_, err = store.Allocate(t.Context(), builddata.Allocation{
		Service: "strawberry", Scheme: builddata.Sequence, SourceRevision: "abc123", Labels: map[string]string{"colour": "red"},
	})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]any{
		"repository": "sqlite://" + filepath.ToSlash(path), "service": "strawberry", "version": "1",
		"owner_team": "fruit", "solution": "shop", "run": "run-1",
	}
	maps.Copy(all, more)
	return all
}

func TestProvisioner_Provision(t *testing.T) {
	for _, tt := range []struct {
		name string
		more map[string]any
		// command is what runs, with SOURCE for the uploaded file.
		command string
	}{
		{"Defaults", nil, `$(test "$(id -u)" -eq 0 || echo sudo -n) install -D -m 0644 SOURCE '/etc/delivery/release.json' && rm -f SOURCE`},
		{"OwnCommand", map[string]any{
			"path": "/opt/it's/r.json", "execute_command": "doas cp {{ .Source }} {{ .Path }}", "remote_folder": "/var/tmp",
		}, `doas cp SOURCE '/opt/it'\''s/r.json'`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p manifest.Provisioner
			if err := p.Prepare(arguments(t, tt.more)); err != nil {
				t.Fatal(err)
			}
			machine := &packersdk.MockCommunicator{}
			ui := &packersdk.MockUi{}
			if err := p.Provision(t.Context(), ui, machine, nil); err != nil {
				t.Fatal(err)
			}
			var got manifest.Manifest
			if err := json.Unmarshal([]byte(machine.UploadData), &got); err != nil {
				t.Fatal(err)
			}
			want := manifest.Manifest{
				Service: "strawberry", Version: "1", Number: 1, SourceRevision: "abc123", OwnerTeam: "fruit", Solution: "shop",
				Run: "run-1", CreatedAt: allocated, Labels: map[string]string{"colour": "red"},
			}
			if diff := cmp.Diff(got, want); diff != "" {
				t.Error(diff)
			}
			command := strings.ReplaceAll(machine.StartCmd.Command, "'"+machine.UploadPath+"'", "SOURCE")
			if diff := cmp.Diff(command, tt.command); diff != "" {
				t.Error(diff)
			}
			if said := ui.SayMessages[0].Message; !strings.Contains(said, strings.TrimSpace(machine.UploadData)) {
				t.Errorf("it does not print what it writes: %s", said)
			}
		})
	}
}

func TestProvisioner_ProvisionFails(t *testing.T) {
	for _, tt := range []struct {
		name     string
		more     map[string]any
		status   int
		says     string
		uploaded bool
	}{
		{"UnknownVersion", map[string]any{"version": "2"}, 0, "delivery.db", false},
		{"CommandFails", nil, 3, "status 3", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p manifest.Provisioner
			if err := p.Prepare(arguments(t, tt.more)); err != nil {
				t.Fatal(err)
			}
			machine := &packersdk.MockCommunicator{StartExitStatus: tt.status}
			err := p.Provision(t.Context(), packersdk.TestUi(t), machine, nil)
			if err == nil || !strings.Contains(err.Error(), tt.says) || machine.UploadCalled != tt.uploaded {
				t.Errorf("got %v, uploaded %t; want an error that says %q, uploaded %t", err, machine.UploadCalled, tt.says, tt.uploaded)
			}
		})
	}
}

func TestProvisioner_Prepare(t *testing.T) {
	var p manifest.Provisioner
	err := p.Prepare(map[string]any{"repository": "postgres://host", "path": "release.json"})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, says := range []string{
		`scheme "postgres" is unknown`, "argument service is missing", "argument version is missing", "argument owner_team is missing",
		"argument solution is missing", `path: "release.json" is not a valid path`,
	} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("the error does not say %q:\n%v", says, err)
		}
	}
}
