package task

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// A server that takes nothing of a file does not hold a delivery up for ever.
func TestImpatient(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()  //nolint:errcheck // a pipe
	defer there.Close() //nolint:errcheck // a pipe
	if _, err := (impatient{Conn: here, within: time.Millisecond}).Write([]byte("nobody reads this")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
