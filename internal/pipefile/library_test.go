package pipefile_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipefile"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/scm"
)

// remote is a git repository to fetch from.
type remote struct {
	t      *testing.T
	folder string
}

func newRemote(t *testing.T) remote {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	r := remote{t: t, folder: filepath.Join(t.TempDir(), "shared.git")}
	if err := os.Mkdir(r.folder, 0o755); err != nil {
		t.Fatal(err)
	}
	r.git("init", "--quiet", "--initial-branch", "main")
	return r
}

func (r remote) git(args ...string) string {
	r.t.Helper()
	settings := []string{"-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"}
	cmd := exec.CommandContext(r.t.Context(), "git", append(settings, args...)...)
	cmd.Dir = r.folder
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r remote) commit(content string) (name string) {
	write(r.t, r.folder, map[string]string{"pipes/application.yml": content})
	r.git("add", ".")
	r.git("commit", "--quiet", "-m", "x")
	return r.git("rev-parse", "HEAD")
}

func (r remote) url() string { return "file://" + filepath.ToSlash(r.folder) }

// task loads the pipe application with a new loader, and returns its one task.
func (r remote) task(cache, ref string) (string, error) {
	l := repository(r.t, map[string]string{".delivery.yml": "pipe: application\nlibrary:\n  - " + r.url() + ref + "\n"})
	l.CacheDir = cache
	p, err := l.Pipe(r.t.Context(), "")
	if err != nil {
		return "", err
	}
	return p.Main[0].Task + " " + p.Main[0].At.String(), nil
}

func TestLoader_GitLibrary(t *testing.T) {
	r := newRemote(t)
	first := r.commit("- one\n")
	r.git("tag", "-a", "v1", "-m", "v1")
	r.git("branch", "old/one")
	r.commit("- two\n")
	cache := t.TempDir()
	for ref, want := range map[string]string{"": "two", "#main": "two", "#v1": "one", "#old/one": "one", "#" + first: "one"} {
		if got, err := r.task(cache, ref); err != nil || got != want+" library shared: pipes/application.yml:1:3" {
			t.Errorf("%q: got %q, %v; want %s", ref, got, err, want)
		}
	}

	r.commit("- three\n")
	if got, err := r.task(cache, ""); err != nil || !strings.HasPrefix(got, "three ") {
		t.Errorf("after a commit: got %q, %v", got, err)
	}

	_, err := r.task(cache, "#nowhere")
	var diags pipe.Diagnostics
	at := pipe.Position{Origin: pipe.OriginCheckout, Path: ".delivery.yml", Line: 3, Column: 5}
	if !errors.As(err, &diags) || diags[0].At != at || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("unknown ref: got %v", err)
	}

	if err := os.RemoveAll(r.folder); err != nil {
		t.Fatal(err)
	}
	if got, err := r.task(cache, "#"+first); err != nil || !strings.HasPrefix(got, "one ") {
		t.Errorf("pinned, without the remote: got %q, %v", got, err)
	}
	if _, err := r.task(cache, "#v1"); err == nil {
		t.Error("a tag without the remote was taken for what it was")
	}
	left, err := filepath.Glob(filepath.Join(cache, "*", "fetch-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestLoader_LibraryDiagnostics(t *testing.T) {
	for name, test := range map[string]struct{ library, want string }{
		"NoFolder": {"nowhere", ".delivery.yml:1:10: the library nowhere: no such file"},
		"File":     {".delivery.yml", ".delivery.yml:1:10: the library .delivery.yml: it is not a folder"},
		"Option":   {"'-x://y'", ".delivery.yml:1:10: the library -x://y: it cannot be fetched: a URL or ref"},
		"Ref": {
			"file:///x#--upload-pack=touch",
			".delivery.yml:1:10: the library file:///x#--upload-pack=touch: it cannot be fetched: a URL or ref",
		},
		"Password": {"file://me:secret@/nowhere/at/all", ".delivery.yml:1:10: the library file://***@/nowhere/at/all: it cannot be fetched"},
	} {
		t.Run(name, func(t *testing.T) {
			l := repository(t, map[string]string{".delivery.yml": "library: " + test.library + "\n", "pipes/p.yml": "- a\n"})
			_, err := l.Pipe(t.Context(), "p")
			var diags pipe.Diagnostics
			if !errors.As(err, &diags) || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v; want %s…", err, test.want)
			}
		})
	}
}

// A hook of git has variables that name its repository. They are not for the
// library's.
func TestLoader_GitLibraryWithinAHook(t *testing.T) {
	r := newRemote(t)
	r.commit("- one\n")
	l := repository(t, map[string]string{".delivery.yml": "pipe: application\nlibrary: " + r.url() + "\n"})
	l.Environ = append(os.Environ(), "GIT_DIR="+t.TempDir(), "GIT_INDEX_FILE=nowhere")
	if _, err := l.Pipe(t.Context(), ""); err != nil {
		t.Error(err)
	}
}

// silent is a server that accepts connections and never answers.
func silent(t *testing.T) (url string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
	})
	go func() {
		for {
			if _, err := listener.Accept(); err != nil {
				return
			}
		}
	}()
	return "http://" + listener.Addr().String() + "/shared.git"
}

// The server of a library that never answers is reported and given up. Offline, it is not
// asked, and the other pipes are listed.
func TestLoader_SilentServer(t *testing.T) {
	url := silent(t)
	files := map[string]string{".delivery.yml": "pipe: own\nlibrary: " + url + "\n", "pipes/own.yml": "- one\n"}
	var reported []string
	l := repository(t, files)
	l.Network = scm.Network{Clock: clock.NewFake(time.Unix(0, 0)), Waiting: func(server string) { reported = append(reported, server) }}
	_, err := l.List(t.Context())
	if err == nil || !strings.Contains(err.Error(), ".delivery.yml:2:10") || !strings.Contains(err.Error(), "within 1m0s") {
		t.Errorf("got %v, want that the server did not answer", err)
	}
	if len(reported) != 1 || reported[0] != "the library "+url {
		t.Errorf("reported %q", reported)
	}

	l = repository(t, files)
	l.Network = scm.Network{Offline: true}
	all, err := l.List(t.Context())
	if err != nil || !slices.ContainsFunc(all, func(l pipefile.Listing) bool { return l.Name == "own" }) {
		t.Errorf("got %v and %v, want the checkout's own pipe", all, err)
	}
}

// The pipes at the top of a git repository are a library of the services in it.
func TestLoader_PipesOfTheRepository(t *testing.T) {
	top := t.TempDir()
	write(t, top, map[string]string{
		"pipes/shared.yml": "- ref: compile\n", "pipes/compile.yml": "- build.go\n", "pipes/own.yml": "- top\n",
		"services/a/.delivery.yml": "pipe: shared\n", "services/a/pipes/own.yml": "- mine\n", ".git": "gitdir: elsewhere\n",
	})
	l := &pipefile.Loader{Root: filepath.Join(top, "services", "a")}
	p, err := l.Pipe(t.Context(), "")
	if err != nil || len(p.Main) != 1 || p.Main[0].At.String() != "library ../..: pipes/compile.yml:1:3" {
		t.Errorf("got %+v and %v", p, err)
	}
	if p, err := l.Pipe(t.Context(), "own"); err != nil || p.Main[0].At.String() != "pipes/own.yml:1:3" {
		t.Errorf("got %+v and %v, want the service's own pipe", p, err)
	}
	if _, err := l.Pipe(t.Context(), "shered"); err == nil || !strings.Contains(err.Error(), "the library ../.. (pipes/shered.yml)") {
		t.Errorf("got %v, want that the library was searched", err)
	}
	all, err := l.List(t.Context())
	if err != nil || !slices.ContainsFunc(all, func(l pipefile.Listing) bool { return l.Name == "shared" && l.At.PipeName() == "shared" }) {
		t.Errorf("got %+v and %v, want shared to be listed", all, err)
	}
	// At the top itself, these are the checkout's own pipes.
	write(t, top, map[string]string{".delivery.yml": "pipe: shared\n"})
	if p, err := (&pipefile.Loader{Root: top}).Pipe(t.Context(), ""); err != nil || p.Main[0].At.String() != "pipes/compile.yml:1:3" {
		t.Errorf("got %+v and %v", p, err)
	}
}

// Git's own words say what is wrong; its general advice does not.
func TestLoader_UnreachableLibrary(t *testing.T) {
	nowhere := filepath.ToSlash(filepath.Join(t.TempDir(), "nowhere"))
	l := repository(t, map[string]string{".delivery.yml": "pipe: x\nlibrary: file://" + nowhere + "\n"})
	l.CacheDir = t.TempDir()
	_, err := l.Pipe(t.Context(), "")
	if err == nil || !strings.Contains(err.Error(), "git: fatal: '"+nowhere+"' does not appear to be a git repository") ||
		strings.Contains(err.Error(), "Please") {
		t.Errorf("got %v", err)
	}
}
