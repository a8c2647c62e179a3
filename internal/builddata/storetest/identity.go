package storetest

import (
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
)

// Identity tests what every builddata.Identity guarantees.
func Identity(t *testing.T, fresh Fresh) {
	runAll(t, fresh, []promise{
		{"EveryClientReadsTheSameID", identityEveryClientReadsTheSameID},
		{"RepositoriesDiffer", identityRepositoriesDiffer},
	})
}

func identityEveryClientReadsTheSameID(t *testing.T, fresh Fresh) {
	open := fresh(t)
	s := open(t, clock.NewFake(noon))
	before, err := s.ID(t.Context())
	ok(t, err)
	if before == "" {
		t.Error("the repository has no ID")
	}
	allocate(t, s, sequence("web"))
	after, err := open(t, clock.NewFake(noon)).ID(t.Context())
	ok(t, err)
	equal(t, after, before)
}

func identityRepositoriesDiffer(t *testing.T, fresh Fresh) {
	one, err := one(t, fresh).ID(t.Context())
	ok(t, err)
	other, err := fresh(t)(t, clock.NewFake(noon)).ID(t.Context())
	ok(t, err)
	if one == other {
		t.Errorf("two repositories have the ID %s", one)
	}
}
