package app_test

import (
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/app"
)

// What is kept for one repository is not sent to another.
func TestState_Journals(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	s, err := app.OpenState()
	if err != nil {
		t.Fatal(err)
	}
	if one, other := s.Journals("/a/delivery.db"), s.Journals("/b/delivery.db"); one == other {
		t.Errorf("two repositories have the same folder %s", one)
	}
	if one, same := s.Journals("/a/delivery.db"), s.Journals("/a/./delivery.db"); one != same {
		t.Errorf("one repository has the folders %s and %s", one, same)
	}
}
