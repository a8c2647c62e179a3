package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestGuide_ListsEveryCommand holds the table of commands in the guide to those
// that exist, and the planned ones to those that do not.
func TestGuide_ListsEveryCommand(t *testing.T) {
	guide, err := os.ReadFile("../../templates/guides/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	existing, planned, found := strings.Cut(string(guide), "## Planned")
	if !found {
		t.Fatal("the guide has no planned commands")
	}
	paths := []string{}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		if len(cmd.Commands()) == 0 || cmd.Name() == "run" {
			paths = append(paths, cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(newRoot(streams{}))
	listed, future := commandsIn(existing), commandsIn(planned)
	for _, path := range paths {
		if !slices.Contains(listed, path) {
			t.Errorf("the guide does not list %q", path)
		}
		if slices.Contains(future, path) {
			t.Errorf("the guide says that %q is planned, and it exists", path)
		}
	}
	for _, path := range listed {
		if !slices.Contains(paths, path) {
			t.Errorf("the guide lists %q, which does not exist", path)
		}
	}
}

var code = regexp.MustCompile("`([a-z ]+)[^`]*`")

// commandsIn are the commands in the first column of a table. A verb alone
// stands for the group of the command before it.
func commandsIn(table string) (paths []string) {
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 || !strings.Contains(cells[1], "`delivery ") {
			continue
		}
		group := ""
		for _, m := range code.FindAllStringSubmatch(cells[1], -1) {
			path := strings.TrimSpace(m[1])
			if verb, ok := strings.CutPrefix(path, "delivery "); ok {
				group, _, _ = strings.Cut(verb, " ")
			} else {
				path = "delivery " + group + " " + path
			}
			paths = append(paths, path)
		}
	}
	return paths
}
