package task

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// A server that stops reading a file does not delay a delivery forever.
func TestDeadlineConn(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()  //nolint:errcheck // a pipe
	defer there.Close() //nolint:errcheck // a pipe
	if _, err := (deadlineConn{Conn: here, timeout: time.Millisecond}).Write([]byte("unread")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
