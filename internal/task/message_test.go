package task_test

import (
	"strings"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// A pipe with notifications also works where no recipient is configured.
func TestNotify_NoRecipient(t *testing.T) {
	for _, task := range []string{"notify.slack", "notify.email"} {
		t.Run(task, func(t *testing.T) {
			got, _, err := newFixture(t).try(t, task, pipe.Args{})
			if err != nil || !strings.HasPrefix(got.Message, "no recipient: ") || len(got.Warnings) > 0 {
				t.Errorf("got %+v and %v, want that there is no recipient", got, err)
			}
			_, _, err = newFixture(t).try(t, task, pipe.Args{"required": true})
			wantError(t, err, "no recipient: set ")
		})
	}
}
