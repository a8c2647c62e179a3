package rig_test

import (
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

func TestPrepare(t *testing.T) {
	rig.Acceptance(t)
	moto, err := rig.Shared()
	if err != nil {
		t.Fatal(err)
	}
	a, err := moto.Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l, err := rig.Prepare(t.Context(), a, "eu-north-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := rig.NothingLeft(t.Context(), a, l); err != nil {
		t.Errorf("a new account: %v", err)
	}
	other, err := moto.Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rig.Prepare(t.Context(), other, "eu-north-1"); err != nil {
		t.Errorf("a second account cannot be prepared like the first: %v", err)
	}
}
