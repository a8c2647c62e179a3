package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
)

// spooled returns the IDs of the runs whose records this machine keeps.
func (c *checkout) spooled(t *testing.T) (runs []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(c.state, "delivery", "spool", "*", "*.spool"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		runs = append(runs, strings.TrimSuffix(filepath.Base(path), ".spool"))
	}
	return runs
}

const (
	removes  = `mkdir "$DATA/away" && mv "$DATA"/delivery.db* "$DATA/away"`
	replaces = removes + `; : >"$DATA/delivery.db"`
)

// The file of the repository is removed or replaced during a run. The records of the run are
// kept, and no other repository gets them.
func TestRun_RepositoryRemoved(t *testing.T) {
	for name, step := range map[string]string{"Removed": removes, "Replaced": replaces} {
		t.Run(name, func(t *testing.T) {
			c := newCheckout(t, "- {name: version, do: init.version, scheme: sequence}\n- {name: build, do: build.command, command: 'true'}\n")
			t.Setenv("DATA", c.data)
			c.run(t, 0)
			c.write(t, "pipes/app.yml", "- {name: version, do: init.version, scheme: sequence}\n"+
				"- {name: build, do: build.command, command: '"+strings.ReplaceAll(step, "'", "''")+"'}\n")
			c.push(t)
			code, _, stderr := c.delivery(t, "run")
			if code != exitcode.Unavailable {
				t.Errorf("got exit code %d, want %d: %s", code, exitcode.Unavailable, stderr)
			}
			contains(t, stderr, filepath.Join(c.data, "delivery.db")+" is gone", "while it was in use", "all 7 records of the run are kept in",
				"put the file back", "delivery sync --discard ")
			runs := c.spooled(t)
			if len(runs) != 1 {
				t.Fatalf("got the spool files of %v, want that of one run", runs)
			}
			// A new repository is at the address now. Its version 2 is another one.
			for range 2 {
				if code, _, stderr := c.delivery(t, "version", "next"); code != 0 {
					t.Fatal(stderr)
				}
			}
			code, _, stderr = c.delivery(t, "sync")
			if code != exitcode.Failed {
				t.Errorf("got exit code %d: %s", code, stderr)
			}
			contains(t, stderr, "the run was recorded in another repository", "put that one back", "delivery sync --discard "+runs[0])
			_, out, _ := c.delivery(t, "sync", "--list")
			contains(t, out, runs[0], "strawberry", "succeeded")
			all, err := c.store(t).Runs(t.Context(), builddata.RunQuery{Service: "strawberry"})
			if err != nil || len(all) > 0 {
				t.Errorf("got %v and %v, want that the new repository has no run", all, err)
			}

			_, out, _ = c.delivery(t, "sync", "--discard", runs[0], "-o", "json")
			contains(t, out, `"run": "`+runs[0]+`"`, `"records": 7`, `"state": "succeeded"`)
			_, out, _ = c.delivery(t, "sync", "--list")
			contains(t, out, "keeps no records")
			if runs := c.spooled(t); len(runs) > 0 {
				t.Errorf("got the spool files of %v, want none", runs)
			}
			code, _, stderr = c.delivery(t, "sync", "--discard", runs[0])
			if code != exitcode.Failed {
				t.Errorf("got exit code %d: %s", code, stderr)
			}
			contains(t, stderr, "keeps no records of the run "+runs[0], "--list")
		})
	}
}

// Once the file of the repository is back, it gets the records.
func TestRun_RepositoryPutBack(t *testing.T) {
	c := newCheckout(t, "- {name: version, do: init.version, scheme: sequence}\n- {name: build, do: build.command, command: '"+removes+"'}\n")
	t.Setenv("DATA", c.data)
	if code, _, stderr := c.delivery(t, "run"); code != exitcode.Unavailable {
		t.Fatalf("got exit code %d, want %d: %s", code, exitcode.Unavailable, stderr)
	}
	runs := c.spooled(t)
	files, err := filepath.Glob(filepath.Join(c.data, "away", "delivery.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("got %v and %v", files, err)
	}
	for _, file := range files {
		if err := os.Rename(file, filepath.Join(c.data, filepath.Base(file))); err != nil {
			t.Fatal(err)
		}
	}
	_, out, stderr := c.delivery(t, "sync")
	contains(t, out+stderr, "strawberry 1, run "+runs[0]+" (app, succeeded): sent ")
	if diff := cmp.Diff(c.events(t, runs[0]), []string{"version started", "version succeeded", "build started", "build succeeded"}); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
}

// The run of a damaged spool file is listed and can be discarded. Nothing outside of the
// state folder is removed, whatever the file says.
func TestSync_Damaged(t *testing.T) {
	c := newCheckout(t, "- {name: build, do: build.command, command: 'true'}\n")
	c.run(t, 0)
	folders, err := filepath.Glob(filepath.Join(c.state, "delivery", "spool", "*"))
	if err != nil || len(folders) != 1 {
		t.Fatalf("got %v and %v", folders, err)
	}
	kept := filepath.Join(c.state, "delivery", "kept")
	if err := os.Mkdir(kept, 0o700); err != nil {
		t.Fatal(err)
	}
	damaged := `{"format":2}
{"run":{"id":"../kept","service":"strawberry","pipe":"app","definition":"e30=","status":"succeeded",` +
		`"started_at":"2026-11-24T12:00:00Z","seen_at":"2026-11-24T12:00:00Z","ended_at":"2026-11-24T12:00:00Z"}}
`
	if err := os.WriteFile(filepath.Join(folders[0], "r-1.spool"), []byte(damaged), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := c.delivery(t, "sync")
	if code != exitcode.Failed {
		t.Errorf("got exit code %d: %s", code, stderr)
	}
	contains(t, stderr, "r-1.spool:2", "run ID", "--discard r-1")
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("a folder outside of those of runs was removed: %v", err)
	}
	_, out, _ := c.delivery(t, "sync", "--list")
	contains(t, out, "r-1", "damaged: ")
	code, _, stderr = c.delivery(t, "sync", "--discard", "../../kept")
	if code != exitcode.Failed {
		t.Errorf("got exit code %d: %s", code, stderr)
	}
	_, out, _ = c.delivery(t, "sync", "--discard", "r-1")
	contains(t, out, "Discarded", "r-1", "could not be read")
	if diff := cmp.Diff(c.spooled(t), []string(nil)); diff != "" {
		t.Errorf("got (-) differs from want (+):\n%s", diff)
	}
	if code, _, _ := c.delivery(t, "sync", "--list", "--discard", "r-1"); code != exitcode.Usage {
		t.Errorf("got exit code %d", code)
	}
}
