package userdir_test

import (
	"path/filepath"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/userdir"
)

func TestDirectories(t *testing.T) {
	home := t.TempDir()
	for _, tt := range []struct {
		name, home, variable string
		data, state          string
	}{
		{"Absolute", home, "/xdg", "/xdg", "/xdg"},
		{"NotSet", home, "", filepath.Join(home, ".local", "share"), filepath.Join(home, ".local", "state")},
		{"Relative", home, "xdg", filepath.Join(home, ".local", "share"), filepath.Join(home, ".local", "state")},
		{"Dot", home, ".", filepath.Join(home, ".local", "share"), filepath.Join(home, ".local", "state")},
		{"NoHome", "", "xdg", "", ""},
		{"RelativeHome", "home", "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("HOME", tt.home)
			t.Setenv("XDG_DATA_HOME", tt.variable)
			t.Setenv("XDG_STATE_HOME", tt.variable)
			data, err := userdir.Data()
			if data != tt.data || (err == nil) != (tt.data != "") {
				t.Errorf("data: got %q and %v, want %q", data, err, tt.data)
			}
			state, err := userdir.State()
			if state != tt.state || (err == nil) != (tt.state != "") {
				t.Errorf("state: got %q and %v, want %q", state, err, tt.state)
			}
		})
	}
}
