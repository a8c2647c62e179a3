package pipefile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/process"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/scm"
)

// libraries opens the libraries that .delivery.yml names.
func (l *Loader) libraries(ctx context.Context, all []written) ([]*source, error) {
	var sources []*source
	var diags pipe.Diagnostics
	names := map[string]bool{}
	for _, w := range all {
		folder, name, err := l.library(ctx, w.text)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if errors.Is(err, scm.ErrOffline) {
			continue
		}
		if err != nil {
			diags.Add(w.at, "the library %s: %s", redacted(w.text), err)
			continue
		}
		if names[name] {
			name = redacted(w.text)
		}
		names[name] = true
		sources = append(sources, library(folder, name))
	}
	return sources, diags.Err()
}

// library returns the folder of a library, and its name.
func (l *Loader) library(ctx context.Context, text string) (folder, name string, err error) {
	if !isGit(text) {
		folder = filepath.FromSlash(text)
		if !filepath.IsAbs(folder) {
			folder = filepath.Join(l.Root, folder)
		}
		info, err := os.Stat(folder)
		switch {
		case err != nil:
			return "", "", fmt.Errorf("%w; a library is a folder or the URL of a git repository", unwrapped(err))
		case !info.IsDir():
			return "", "", errors.New("it is not a folder; a library is a folder or the URL of a git repository")
		}
		return folder, filepath.Base(folder), nil
	}
	address, ref, _ := strings.Cut(text, "#")
	folder, err = l.fetch(ctx, address, ref)
	name = strings.TrimSuffix(path.Base(strings.TrimRight(address, "/")), ".git")
	if i := strings.LastIndexByte(name, ':'); i >= 0 { // user@host:name
		name = name[i+1:]
	}
	return folder, name, err
}

// shortAddress matches the short form of an ssh address.
var shortAddress = regexp.MustCompile(`^[A-Za-z0-9._-]+@[A-Za-z0-9._-]+:`)

func isGit(text string) bool {
	return strings.Contains(text, "://") || shortAddress.MatchString(text)
}

// commitHash matches the full hash of a commit, whose content never changes.
var commitHash = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// fetch returns the folder with the content of a git repository at a branch, a
// tag or a commit. A branch or a tag may have moved, so it is fetched each time; a
// commit is fetched once.
func (l *Loader) fetch(ctx context.Context, address, ref string) (string, error) {
	if strings.HasPrefix(address, "-") || strings.HasPrefix(ref, "-") {
		return "", errors.New("it cannot be fetched: a URL or ref must not begin with -")
	}
	cache := l.CacheDir
	if cache == "" {
		userCache, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("it cannot be fetched: there is no folder to store it in: %w", err)
		}
		cache = filepath.Join(userCache, "delivery", "libraries")
	}
	sum := sha256.Sum256([]byte(address))
	cache = filepath.Join(cache, hex.EncodeToString(sum[:8]))
	if commitHash.MatchString(ref) {
		if kept := filepath.Join(cache, ref); isFolder(kept) {
			return kept, nil
		}
	}
	if ref == "" {
		ref = "HEAD"
	}
	var kept string
	err := l.Network.Ask(ctx, "the library "+redacted(address), scm.FetchLimit, func(ctx context.Context) (err error) {
		kept, err = l.download(ctx, cache, address, ref)
		return err
	})
	return kept, err
}

// download fetches a git repository at a ref, and returns the folder with its content.
func (l *Loader) download(ctx context.Context, cache, address, ref string) (string, error) {
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", err
	}
	// The finished folder is moved to its final path, so that no other process
	// sees half of it.
	work, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(work) }() // it may have been moved
	g := git{dir: work, environ: l.Environ}
	// Maintenance would continue in the background, in a folder that is moved.
	for _, args := range [][]string{
		{"init", "--quiet"},
		{"-c", "maintenance.auto=false", "fetch", "--quiet", "--depth", "1", "--no-tags", "--", address, ref},
		{"-c", "core.autocrlf=false", "-c", "advice.detachedHead=false", "checkout", "--quiet", "--detach", "FETCH_HEAD"},
	} {
		if _, err := g.run(ctx, args...); err != nil {
			return "", fmt.Errorf("it cannot be fetched: %w; "+
				"a library that is pinned to a full commit hash (URL#COMMIT) needs no network after the first fetch", err)
		}
	}
	commit, err := g.run(ctx, "rev-parse", "HEAD")
	if err != nil {
		return "", err
	}
	if err := os.RemoveAll(filepath.Join(work, ".git")); err != nil {
		return "", err
	}
	kept := filepath.Join(cache, commit)
	if isFolder(kept) {
		return kept, nil
	}
	if err := os.Rename(work, kept); err != nil && !isFolder(kept) {
		return "", err
	}
	return kept, nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// git runs git in a folder.
type git struct {
	dir     string
	environ []string
}

func (g git) run(ctx context.Context, args ...string) (string, error) {
	environ := g.environ
	if environ == nil {
		environ = os.Environ()
	}
	var out, problem bytes.Buffer
	_, err := process.Run(ctx, process.Command{
		Args: append([]string{"git"}, args...), Dir: g.dir, Environ: scm.Environ(environ), Stdout: &out, Stderr: &problem,
		Grace: time.Second,
	})
	var exit *process.ExitError
	if errors.As(err, &exit) {
		return "", fmt.Errorf("git: %s", strings.Join(problems(redacted(problem.String())), "; "))
	}
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(out.String()), nil
}

// problems returns the lines in which git says what is wrong, or else its last ones. General
// advice follows them, and progress comes before.
func problems(printed string) []string {
	lines := strings.FieldsFunc(printed, func(r rune) bool { return r == '\n' || r == '\r' })
	var marked []string
	for _, line := range lines {
		for _, mark := range []string{"fatal: ", "error: ", "remote: ", "ssh: "} {
			if strings.HasPrefix(line, mark) {
				marked = append(marked, strings.TrimSpace(line))
			}
		}
	}
	if len(marked) == 0 {
		marked = lines
	}
	const most = 4
	return marked[max(0, len(marked)-most):]
}

// userInfo matches the part of a URL that may contain a password or a token.
var userInfo = regexp.MustCompile(`://[^/@\s]+@`)

// redacted returns a text without the users and passwords in its URLs.
func redacted(text string) string {
	return userInfo.ReplaceAllString(text, "://***@")
}
