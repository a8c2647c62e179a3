package task_test

import (
	"strings"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// A pipe that tells people of its runs works where nobody has said whom.
func TestNobodyToTell(t *testing.T) {
	for _, task := range []string{"notify.slack", "notify.email"} {
		t.Run(task, func(t *testing.T) {
			got, _, err := newBench(t).try(t, task, pipe.Args{})
			if err != nil || !strings.HasPrefix(got.Message, "nobody to tell: ") || len(got.Warnings) > 0 {
				t.Errorf("got %+v and %v, want that there is nobody to tell", got, err)
			}
			_, _, err = newBench(t).try(t, task, pipe.Args{"required": true})
			wantError(t, err, "there is nobody to tell")
		})
	}
}
