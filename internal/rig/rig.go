// Package rig is the test rig of the acceptance tests, the Packer tests and the
// demo: the tools that "make tools" installs, moto as an emulated AWS with an
// account per test, a proxy that injects faults, and a data plane, which lets an
// account's servers answer requests. It is not part of any released program.
package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Root returns the project's folder.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Tool returns the path of a program that "make tools" installs: "terraform",
// "packer", "packer-plugin-amazon" or "moto/bin/python".
func Tool(name string) (string, error) {
	path := filepath.Join(Root(), ".tools", "bin", name)
	if filepath.Dir(name) != "." {
		path = filepath.Join(Root(), ".tools", name)
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s does not exist: run \"make tools\" once (%w)", name, err)
	}
	return path, nil
}

// Acceptance skips a test that needs the tools, unless TF_ACC is set, as
// "make test" does.
func Acceptance(t testing.TB) {
	t.Helper()
	if os.Getenv("TF_ACC") == "" {
		t.Skip("acceptance tests run with TF_ACC=1, as by \"make test\"")
	}
}

// Long reports whether tests take the time that "make test-long" gives them. Otherwise they try
// fewer combinations of the same.
func Long() bool { return os.Getenv("DELIVERY_TEST_LONG") != "" }

// NewAccount returns a new, empty account for an acceptance test, in the moto
// that all tests of the binary share.
func NewAccount(t testing.TB) Account {
	t.Helper()
	Acceptance(t)
	moto, err := Shared()
	if err != nil {
		t.Fatal(err)
	}
	account, err := moto.Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return account
}
