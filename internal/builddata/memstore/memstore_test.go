package memstore_test

import (
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata/memstore"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata/storetest"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Opener {
		repository := memstore.New()
		return func(_ *testing.T, c clock.Clock) builddata.Store { return repository.Open(c) }
	})
}
