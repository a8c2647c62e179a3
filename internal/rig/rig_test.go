package rig_test

import (
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

func TestPrepare(t *testing.T) {
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
	t.Logf("%+v", l)
}
