package pipefile_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipefile"
)

func TestLoader_Refs(t *testing.T) {
	l := repository(t, map[string]string{
		".delivery.yml":                "library: shared\n",
		"pipes/p.yml":                  "timeout: 1h\nfirst: [{ref: begin}, own-first]\nmain:\n- ref: build.deployable\n- ref: ./sub/x.yml\n- ref: application\n  when: ${{ wide }}\nlast: [own-last]\n",
		"pipes/begin.yaml":             "- begin\n",
		"pipes/build.deployable.yml":   "first: [build-first]\nmain: [build]\nlast: [build-last]\n",
		"pipes/build/deployable.yml":   "- never\n",
		"pipes/sub/x.yml":              "- ref: ../build/y\n- parallel: [{ref: sub.z}, b]\n",
		"pipes/build/y.yml":            "- y\n",
		"pipes/sub/z.yml":              "timeout: 2h\nstep_timeout: 3h\nmain: [z]\nlast: [z-last]\n",
		"pipes/hook.yml":               "- hook\n",
		"shared/pipes/application.yml": "main: [{ref: compile}, {ref: hook}]\nlast: [tidy]\n",
		"shared/pipes/compile.yml":     "- of-library\n",
		"pipes/compile.yml":            "- of-repository\n",
	})
	p, err := l.Pipe(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	want := `
p pipes/p.yml:1:1 timeout=1h0m0s step_timeout=0s
first:
  begin pipes/begin.yaml:1:3 via=begin
  own-first pipes/p.yml:2:23
  build-first pipes/build.deployable.yml:1:9 via=build.deployable
main:
  build pipes/build.deployable.yml:2:8 via=build.deployable
  y pipes/build/y.yml:1:3 via=./sub/x.yml>../build/y
  parallel pipes/sub/x.yml:2:3 via=./sub/x.yml
    branch:
      z pipes/sub/z.yml:3:8 via=./sub/x.yml>sub.z
    branch:
      b pipes/sub/x.yml:2:28 via=./sub/x.yml
  of-library library shared: pipes/compile.yml:1:3 via=application>compile when="${{ wide }}"@7:9
  hook pipes/hook.yml:1:3 via=application>hook when="${{ wide }}"@7:9
last:
  own-last pipes/p.yml:8:8
  build-last pipes/build.deployable.yml:3:8 via=build.deployable
  z-last pipes/sub/z.yml:4:8 via=./sub/x.yml>sub.z
  tidy library shared: pipes/application.yml:2:8 via=application when="${{ wide }}"@7:9
`
	if diff := cmp.Diff(trim(want), outline(p)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoader_RefDiagnostics(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"Missing": {map[string]string{"pipes/p.yml": "- a\n- ref: build.deplyable\n", "pipes/build/deployable.yml": "- a\n"}, `
pipes/p.yml:2:8: there is no file for the ref "build.deplyable"; searched the checkout (pipes/build.deplyable.yml, pipes/build/deplyable.yml), the built-in pipes; did you mean build.deployable?`},
		"MissingPath": {map[string]string{"pipes/p.yml": "- ref: ./x\n- ref: y.yml\n"}, `
pipes/p.yml:1:8: there is no file for the ref "./x": expected pipes/x.yml
pipes/p.yml:2:8: there is no file for the ref "y.yml": expected pipes/y.yml`},
		"Circle": {map[string]string{"pipes/p.yml": "- ref: a\n", "pipes/a.yml": "- a\n- a\n- ref: b\n", "pipes/b.yml": "- x\n- ref: ./a.yml\n"}, `
pipes/b.yml:2:8: circular refs: pipes/a.yml:3 → pipes/b.yml:2 → pipes/a.yml`},
		"OutsideOfTheCheckout": {map[string]string{"pipes/p.yml": "- ref: ../../x.yml\n- ref: /etc/passwd.yml\n- ref: a\\b\n- ref: a b\n- ref: ..\n"}, `
pipes/p.yml:1:8: the ref "../../x.yml" leads out of the checkout
pipes/p.yml:2:8: invalid ref "/etc/passwd.yml": a path must be relative to the file of the ref
pipes/p.yml:3:8: invalid ref "a\\b": separate folders by /
pipes/p.yml:4:8: "a b" is not a valid name of a file of steps: use letters, digits, _, - and dots, as in build.deployable, or a path with a slash, as in ./build.yml
pipes/p.yml:5:8: ".." is not a valid name of a file of steps: use letters, digits, _, - and dots, as in build.deployable, or a path with a slash, as in ./build.yml`},
		"AllFilesOnce": {map[string]string{"pipes/p.yml": "- ref: a\n- ref: a\n- ref: nowhere-at-all\n- do: x\n  timeout: 1\n", "pipes/a.yml": "- 1\n"}, `
pipes/p.yml:5:12: is the number 1; expected a duration above 0 for timeout, such as 90s, 10m or 1h30m
pipes/a.yml:1:3: is the number 1; expected the type of a task, as in do: test.command
pipes/p.yml:3:8: there is no file for the ref "nowhere-at-all"; searched the checkout (pipes/nowhere-at-all.yml), the built-in pipes`},
		"TwoConditions": {map[string]string{"pipes/p.yml": "- ref: a\n  when: ${{ x }}\n", "pipes/a.yml": "- do: a\n  when: ${{ y }}\n"}, `
pipes/a.yml:2:9: it has a condition already, the when at pipes/p.yml:2:9: a step can have only one`},
		"EmptyFile": {map[string]string{"pipes/p.yml": "- ref: a\n", "pipes/a.yml": "\n"}, `
pipes/a.yml:1:1: is empty`},
		"Folder": {map[string]string{"pipes/p.yml": "- ref: a\n", "pipes/a.yml/b": ""}, `
pipes/p.yml:1:8: pipes/a.yml is not a file`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := repository(t, test.files).Pipe(t.Context(), "p")
			var diags pipe.Diagnostics
			if !errors.As(err, &diags) {
				t.Fatalf("%v is not pipe.Diagnostics", err)
			}
			if diff := cmp.Diff(trim(test.want), diags.Error()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoader_RefsThatNeverEnd(t *testing.T) {
	wide := map[string]string{"pipes/l9.yml": "- a\n"}
	long := map[string]string{"pipes/l99.yml": "- a\n"}
	for i := range 9 {
		wide[fmt.Sprintf("pipes/l%d.yml", i)] = strings.Repeat(fmt.Sprintf("- ref: l%d\n", i+1), 10)
	}
	for i := range 99 {
		long[fmt.Sprintf("pipes/l%d.yml", i)] = fmt.Sprintf("- ref: l%d\n", i+1)
	}
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"Wide": {wide, "too many refs: at most 10000, and 64 within each other"},
		"Long": {long, "pipes/l64.yml:1:8: too many refs: at most 10000, and 64 within each other"},
		"Steps": {
			map[string]string{"pipes/l0.yml": strings.Repeat("- ref: l1\n", 11), "pipes/l1.yml": strings.Repeat("- a\n", 1000)},
			"pipes/l1.yml:1:3: the pipe has more than 10000 steps",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := repository(t, test.files).Pipe(t.Context(), "l0")
			var diags pipe.Diagnostics
			if !errors.As(err, &diags) || len(diags) != 1 || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %.300v; want one diagnostic with %q", err, test.want)
			}
		})
	}
}

func TestLoader_SymbolicLinks(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("symbolic links need a privilege on Windows")
	}
	l := repository(t, map[string]string{"pipes/p.yml": "- ref: inside\n- ref: outside\n", "elsewhere/x.yml": "- a\n"})
	outside := filepath.Join(t.TempDir(), "x.yml")
	if err := os.WriteFile(outside, []byte("- a\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"inside.yml": "../elsewhere/x.yml", "outside.yml": outside} {
		if err := os.Symlink(target, filepath.Join(l.Root, "pipes", name)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := l.Pipe(t.Context(), "p")
	if want := "pipes/p.yml:2:8: pipes/outside.yml cannot be read: path escapes from parent"; err == nil || err.Error() != want {
		t.Errorf("got %v; want %s", err, want)
	}
}

func TestLoader_Missing(t *testing.T) {
	files := map[string]string{"pipes/strawberry.yml": "- a\n"}
	_, err := repository(t, files).Pipe(t.Context(), "Strawberry")
	var missing *pipefile.MissingError
	want := `there is no pipe "Strawberry"; searched the checkout (pipes/Strawberry.yml), the built-in pipes; did you mean strawberry?`
	if !errors.As(err, &missing) || err.Error() != want {
		t.Errorf("got %v; want %s", err, want)
	}

	files[".delivery.yml"] = "service: x\npipe: Strawberry\n"
	_, err = repository(t, files).Pipe(t.Context(), "")
	var diags pipe.Diagnostics
	if !errors.As(err, &diags) || diags[0].At != (pipe.Position{Origin: pipe.OriginCheckout, Path: ".delivery.yml", Line: 2, Column: 7}) {
		t.Errorf("got %v; want a diag at .delivery.yml:2:7", err)
	}

	_, err = repository(t, map[string]string{".delivery.yml": "service: x\n"}).Pipe(t.Context(), "")
	if want := ".delivery.yml:1:1: does not name a pipe: add one, such as pipe: ci"; err == nil || err.Error() != want {
		t.Errorf("got %v; want %s", err, want)
	}

	_, err = repository(t, nil).Pipe(t.Context(), "")
	var none *pipefile.NotFoundError
	if !errors.As(err, &none) || !strings.Contains(err.Error(), "delivery init") {
		t.Errorf("got %v; want NotFoundError", err)
	}

	p, err := repository(t, map[string]string{"ci/main.yml": "- a\n"}).Pipe(t.Context(), "ci/main.yml")
	if err != nil || p.Name != "main" {
		t.Errorf("by path: %v, %v", p, err)
	}
}

func TestLoader_List(t *testing.T) {
	l := repository(t, map[string]string{
		".delivery.yml":          "library: ../" + "shared\n",
		"pipes/cd.yml":           "description: |\n  Ours,\n  of course.\nmain: [{ref: sub.piece}]\n",
		"pipes/sub/piece.yml":    "- a\n",
		"pipes/broken.yml":       "- 1\n",
		"pipes/README.md":        "",
		"pipes/.hidden.yml":      "- a\n",
		"pipes/not a name.yml":   "- a\n",
		"pipes/.hidden/deep.yml": "- a\n",
	})
	shared := filepath.Join(filepath.Dir(l.Root), "shared")
	write(t, shared, map[string]string{"application.yml": "description: Everything.\nmain: [a]\n", "cd.yml": "- a\n"})
	listings, err := l.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, x := range listings {
		fmt.Fprintf(&b, "%s | %s | %s | %s | piece=%t | %v\n", x.Name, x.At.Source(), x.At.File(), x.Description, x.Piece, x.Diagnostics.Err())
	}
	golden(t, b.String())
}
