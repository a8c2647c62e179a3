// Package text formats texts for people.
package text

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Clip shortens s to about limit bytes.
func Clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}

// Line returns s on one line, cleaned.
func Line(s string) string { return strings.Join(strings.Fields(Clean(s)), " ") }

// NoControl returns s with spaces for control characters, on which a terminal
// would act.
func NoControl(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// Count is "1 file", "2 files".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// List is "a, b, c", or "none".
func List(all []string) string {
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

// ListSome is List with no more than limit of them: "a, b and 3 more".
func ListSome(all []string, limit int) string {
	if len(all) <= limit {
		return List(all)
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:limit], ", "), len(all)-limit)
}

// Strings returns the strings of a type that is one.
func Strings[T ~string](all []T) []string {
	texts := make([]string, len(all))
	for i, value := range all {
		texts[i] = string(value)
	}
	return texts
}

// Revision is the short form of a revision of source code.
func Revision(revision string) string { return revision[:min(len(revision), 12)] }

// Duration is how long something took: "0.4s", "42s", "3m20s".
func Duration(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// Hide replaces each of the secrets in a text by "(hidden)". Secrets of fewer than four
// characters stay, because they are parts of words.
func Hide(s string, secrets []string) string {
	secrets = slices.DeleteFunc(slices.Clone(secrets), func(secret string) bool { return len(secret) < 4 })
	slices.SortFunc(secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // one may begin with another one
	pairs := make([]string, 0, 2*len(secrets))
	for _, secret := range secrets {
		pairs = append(pairs, secret, "(hidden)")
	}
	return strings.NewReplacer(pairs...).Replace(s)
}
