package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
)

// A value that was not stored, because it holds a secret, is missing when a step
// is run alone: the run says so at once, and the step says why.
func TestRunTask_Withheld(t *testing.T) {
	c := newCheckout(t, `
- {name: version, do: init.version}
- {name: build, do: build.command, command: 'echo "image=registry.example.com/$REGISTRY_TOKEN/x:1" >> $DELIVERY_OUTPUT', outputs: [image]}
- {name: push, do: build.command, command: "echo pushing ${{ image }}; test -e fixed"}
`)
	t.Setenv("REGISTRY_TOKEN", "tok-0123456789")
	code, out, said := c.delivery(t, "run")
	if code != exitcode.Failed {
		t.Fatalf("got exit code %d: %s", code, said)
	}
	const advice = "with the value of image in the place of …: what is or holds a secret is not stored:\n" +
		"  delivery run --run-task push --version 1 --set image=…\n"
	contains(t, out, advice)
	run := regexp.MustCompile(`/logs/(\w+)/`).FindStringSubmatch(out)[1]
	contains(t, said, "build: warning: the output image holds a secret, so it is neither shown nor stored",
		"pushing registry.example.com/***/x:1")
	code, out, said = c.delivery(t, "run", "--run-task", "push", "--version", "1")
	if code != exitcode.Failed {
		t.Fatalf("got exit code %d: %s", code, said)
	}
	contains(t, said, `the value image is not set: the step "build" set it in the run `+run+
		", but it was not stored, since it is a secret or holds one")
	contains(t, out, "Give it with --set NAME=VALUE.", advice)
	code, _, said = c.delivery(t, "run", "--run-task", "push", "--version", "1", "--set", "image=…")
	if code != exitcode.Usage {
		t.Errorf("got exit code %d: %s", code, said)
	}
	contains(t, said, "invalid --set image=…: write the value in the place of …")
	_, _, said = c.delivery(t, "run", "--run-task", "push", "--version", "1", "--set", "image=registry.example.com/tok-0123456789/x:2")
	contains(t, said, "pushing registry.example.com/***/x:2")
}

// Common values are not secrets, whatever the names of the variables that hold
// them, so that a step can be run again with what was stored.
func TestRunTask_CommonValuesAreStored(t *testing.T) {
	c := newCheckout(t, `
- {name: version, do: init.version}
- name: build
  do: build.command
  command: 'printf "image=example.com/postgres-proxy\nstrict=true\n" >> $DELIVERY_OUTPUT'
  outputs: [image, strict]
- {name: push, do: build.command, command: "echo pushing ${{ image }} ${{ strict }}; exit 1"}
`)
	t.Setenv("POSTGRES_PASSWORD", "postgres")
	t.Setenv("NO_AUTH", "true")
	t.Setenv("X_AUTH", "true")
	t.Setenv("SERVICE_TOKEN", "strawberry")
	code, _, said := c.delivery(t, "run")
	if code != exitcode.Failed {
		t.Fatalf("got exit code %d: %s", code, said)
	}
	contains(t, said, "Warning: the secret POSTGRES_PASSWORD is not masked, since it is too common",
		"Warning: the secret SERVICE_TOKEN is not masked")
	if n := strings.Count(said, "POSTGRES_PASSWORD is not masked"); n != 1 {
		t.Errorf("warned %d times:\n%s", n, said)
	}
	_, _, said = c.delivery(t, "run", "--run-task", "push", "--version", "1")
	contains(t, said, "pushing example.com/postgres-proxy true")
}

// A mock of one step has what the mocks before it set, also by the name of a secret.
func TestRunTask_MockOfSecretNames(t *testing.T) {
	c := newCheckout(t, `
- {name: create, do: build.command, command: "false", outputs: [admin_password]}
- {name: use, do: build.command, command: "use ${{ admin_password }}"}
`)
	code, _, said := c.delivery(t, "run", "--mock", "--run-task", "use")
	if code != 0 {
		t.Errorf("got exit code %d: %s", code, said)
	}
}

// What a step says is secret is masked everywhere, and not stored.
func TestRun_SecretsOfSteps(t *testing.T) {
	c := newCheckout(t, `
- {name: version, do: init.version}
- name: create
  do: build.command
  command: |
    made=gen-er-ated-$((40 + 2))
    echo "$made" >> "$DELIVERY_SECRETS"
    echo "made $made"
    echo "licence=AAAA-BBBB-$((1000 + 234))" >> "$DELIVERY_OUTPUT"
    echo "url=https://example.com/?key=$made" >> "$DELIVERY_OUTPUT"
  outputs: [licence, url]
  secrets: [licence]
- {name: use, do: build.command, command: "echo with ${{ licence }} at ${{ url }}; exit 1"}
`)
	code, out, said := c.delivery(t, "run")
	if code != exitcode.Failed {
		t.Fatalf("got exit code %d: %s", code, said)
	}
	contains(t, said, "create | made ***", "use | with *** at https://example.com/?key=***",
		"create: warning: the output url holds a secret, so it is neither shown nor stored")
	contains(t, out, "--set licence=… --set url=…")
	_, events, _ := c.delivery(t, "event", "list", "--version", "1", "--output", "json")
	stored := ""
	for _, folder := range []string{c.state, c.data} {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Type().IsRegular() {
				var content []byte
				content, err = os.ReadFile(path)
				stored += string(content)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, secret := range []string{"gen-er-ated-42", "AAAA-BBBB-1234"} {
		if strings.Contains(out+said+events+stored, secret) {
			t.Errorf("%s is shown or stored:\n%s%s%s", secret, said, out, events)
		}
	}
}
