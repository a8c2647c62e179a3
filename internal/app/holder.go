package app

import (
	"fmt"
	"os"
	"os/user"
)

// Holder says who is at work by which program, for people who meet a lease:
// "ada@ci-7, terraform, process 4711".
func Holder(program string) string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "an unnamed machine"
	}
	return fmt.Sprintf("%s@%s, %s, process %d", name, host, program, os.Getpid())
}
