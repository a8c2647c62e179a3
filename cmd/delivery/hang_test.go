package main

import (
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
)

// A step that puts a named pipe where its outputs or the next step's log belong
// holds up nothing: the run ends, and its section last runs.
func TestRun_NamedPipes(t *testing.T) {
	c := newCheckout(t, `
first:
  - name: log
    do: build.command
    command: mkdir -p "$XDG_STATE_HOME/delivery/logs/$DELIVERY_RUN"; mkfifo "$XDG_STATE_HOME/delivery/logs/$DELIVERY_RUN/noisy.log"
  - {name: noisy, do: build.command, command: "seq 1000"}
main:
  - {name: outputs, do: build.command, command: 'rm "$DELIVERY_OUTPUT"; mkfifo "$DELIVERY_OUTPUT"', timeout: 5s}
last:
  - {name: tidy, do: build.command, command: "echo tidying"}
`)
	code, _, said := c.delivery(t, "run")
	if code != exitcode.Failed {
		t.Fatalf("got exit code %d: %s", code, said)
	}
	contains(t, said, "noisy: warning: not all of the output is in the log: ", "tidy succeeded",
		"outputs failed in", "read the file $DELIVERY_OUTPUT: it is a named pipe, not a regular file")
}
