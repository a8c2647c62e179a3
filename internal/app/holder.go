package app

import (
	"fmt"
	"os"
	"os/user"
)

// Holder says who acts by which program, for people who meet a lease:
// "ada@ci-7, terraform, process 4711".
func Holder(program string) string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s@%s, %s, process %d", name, host, program, os.Getpid())
}
