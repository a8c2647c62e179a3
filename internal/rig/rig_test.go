package rig_test

import (
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

func TestPrepare(t *testing.T) {
	a := rig.NewAccount(t)
	l, err := rig.Prepare(t.Context(), a, "eu-north-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := rig.NothingLeft(t.Context(), a, l); err != nil {
		t.Errorf("a new account: %v", err)
	}
	if _, err := rig.Prepare(t.Context(), rig.NewAccount(t), "eu-north-1"); err != nil {
		t.Errorf("a second account cannot be prepared like the first: %v", err)
	}
}
