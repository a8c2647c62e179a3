package pipefile_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipefile"
)

// repository writes files to a folder, and returns a loader for it.
func repository(t testing.TB, files map[string]string) *pipefile.Loader {
	t.Helper()
	root := t.TempDir()
	write(t, root, files)
	return &pipefile.Loader{Root: root, CacheDir: t.TempDir()}
}

func write(t testing.TB, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// outline writes a pipe with all its positions, a line for each step.
func outline(p *pipe.Pipe) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", p.Name, p.At)
	if p.Timeout+p.StepTimeout > 0 {
		fmt.Fprintf(&b, " timeout=%s step_timeout=%s", p.Timeout, p.StepTimeout)
	}
	b.WriteString("\n")
	for _, section := range pipe.Sections {
		if steps := p.Section(section); len(steps) > 0 {
			fmt.Fprintf(&b, "%s:\n", section)
			outlineSteps(&b, steps, "  ")
		}
	}
	return b.String()
}

func outlineSteps(b *strings.Builder, steps []pipe.Step, indent string) {
	for _, s := range steps {
		if s.Task == "" {
			fmt.Fprintf(b, "%sparallel %s", indent, s.At)
		} else {
			fmt.Fprintf(b, "%s%s %s", indent, s.Task, s.At)
		}
		if s.Name != "" && s.Name != s.Task {
			fmt.Fprintf(b, " name=%q", s.Name)
		}
		if len(s.Via) > 0 {
			fmt.Fprintf(b, " via=%s", strings.Join(s.Via, ">"))
		}
		if !s.When.IsZero() {
			fmt.Fprintf(b, " when=%s", text(s.When))
		}
		if len(s.Outputs) > 0 {
			fmt.Fprintf(b, " outputs=%s", strings.Join(s.Outputs, ","))
		}
		if s.Timeout+s.RetryAfter > 0 || s.Retries > 0 {
			fmt.Fprintf(b, " timeout=%s retries=%d after %s", s.Timeout, s.Retries, s.RetryAfter)
		}
		if len(s.Secrets) > 0 {
			fmt.Fprintf(b, " secrets=%s", strings.Join(s.Secrets, ","))
		}
		if s.AllowFailure {
			b.WriteString(" allow_failure")
		}
		if s.MaxParallel > 0 {
			fmt.Fprintf(b, " max_parallel=%d", s.MaxParallel)
		}
		for _, name := range slices.Sorted(maps.Keys(s.Args)) {
			fmt.Fprintf(b, " %s=%s", name, text(s.Args[name]))
		}
		b.WriteString("\n")
		for _, branch := range s.Parallel {
			fmt.Fprintf(b, "%s  branch:\n", indent)
			outlineSteps(b, branch, indent+"    ")
		}
	}
}

// text writes a value with the line and column of all that is in it.
func text(v pipe.Value) string {
	at := fmt.Sprintf("@%d:%d", v.At.Line, v.At.Column)
	switch data := v.Data.(type) {
	case []pipe.Value:
		items := make([]string, len(data))
		for i, item := range data {
			items[i] = text(item)
		}
		return "[" + strings.Join(items, " ") + "]" + at
	case map[string]pipe.Value:
		var pairs []string
		for _, name := range slices.Sorted(maps.Keys(data)) {
			pairs = append(pairs, name+"="+text(data[name]))
		}
		return "{" + strings.Join(pairs, " ") + "}" + at
	case string:
		return fmt.Sprintf("%q", data) + at
	}
	return fmt.Sprintf("%T(%v)", v.Data, v.Data) + at
}

// trim makes an outline of a raw string in a test.
func trim(s string) string { return strings.TrimPrefix(s, "\n") }
