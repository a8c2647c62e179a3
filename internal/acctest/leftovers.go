package acctest

import (
	"context"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

// NothingLeft reports what a cluster left in the test's account.
func (e *Env) NothingLeft(ctx context.Context) error {
	return rig.NothingLeft(ctx, e.Account, e.Landscape)
}
