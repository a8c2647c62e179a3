package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Preview selects requests that only a test sends: those of the cluster's rule that also
// have a header, or that are for another host. They reach the new generation before others
// do. One of Header and Host is set.
type Preview struct {
	// Header has one value, which may be secret.
	Header *Header `json:"header,omitempty"`
	Host   string  `json:"host,omitempty"`
	// Priority of the preview rule; 0 chooses a free one before the cluster's own rule.
	Priority int32 `json:"priority,omitempty"`
}

// Previews opens and closes preview rules. A preview rule belongs to one generation and to no
// user's requests: it counts for no share, and Traffic does not change it, but for
// Disconnect, which removes it together with its generation.
type Previews interface {
	// CheckPreview reports why the preview of a cluster could not be opened.
	CheckPreview(ctx context.Context, s Spec, p Preview) error
	// OpenPreview creates the rule that sends the preview's requests to the generation.
	OpenPreview(ctx context.Context, g Generation, s Spec, p Preview) error
	// ClosePreview removes that rule.
	ClosePreview(ctx context.Context, g Generation, listenerARN string) error
	// Address returns the URL of a listener, by the name of its load balancer.
	Address(ctx context.Context, listenerARN string) (string, error)
}

// Rule selects the preview's requests. Own is the cluster's rule; nil if it serves by the
// listener's default action.
func (p Preview) Rule(own *Rule) Rule {
	var r Rule
	if own != nil {
		r = *own
	}
	r.Priority = p.Priority
	if p.Host != "" {
		r.Hosts = []string{p.Host}
		return r
	}
	r.Headers = append(slices.Clone(r.Headers), *p.Header)
	return r
}

// Priorities returns the range of priorities that the preview rule may have. Rules of lower
// numbers are compared first, so it comes before the cluster's own rule. The last thousand
// numbers are left to other programs, which choose one after all others.
func (p Preview) Priorities(own *Rule) (least, most int32) {
	if own == nil {
		return 1, MaxPriority - 1000
	}
	if own.Priority == 0 { // any
		return 1, FirstFreePriority - 1
	}
	return 1, own.Priority - 1
}

// Validate reports a preview that a load balancer would refuse, or that a test could not
// ask for.
func (p Preview) Validate(own *Rule) error {
	if (p.Header == nil) == (p.Host == "") {
		return errors.New("preview: give either http_header or host")
	}
	var errs []error
	if p.Header != nil && (len(p.Header.Values) != 1 || hasWildcard(p.Header.Values[0])) {
		errs = append(errs, fmt.Errorf("preview: the header %q needs one value without the wildcards * and ?, because the checks send it",
			p.Header.Name))
	}
	if hasWildcard(p.Host) {
		errs = append(errs, fmt.Errorf("preview: the host %q must have no wildcards, because the checks ask for it", p.Host))
	}
	if own != nil {
		if p.Host != "" && (Rule{Hosts: own.Hosts}).Matches(Request{Host: p.Host}) {
			errs = append(errs, fmt.Errorf("preview: the cluster's own rule selects the host %q, so that users' requests would reach the preview; "+
				"choose another one", p.Host))
		}
		if _, most := p.Priorities(own); p.Priority > most {
			errs = append(errs, fmt.Errorf("preview: its priority is %d, but it must be lower than %d, the priority of the cluster's own rule, "+
				"which would otherwise take its requests", p.Priority, most+1))
		}
	}
	if err := p.Rule(own).Validate(); err != nil {
		errs = append(errs, fmt.Errorf("preview: its rule has the conditions of the cluster's rule and one more: %w", err))
	}
	return errors.Join(errs...)
}

// Request is what a rule compares, but for the address of the sender.
type Request struct {
	Method, Host, Path string
	// Headers have one value each.
	Headers map[string]string
	Query   map[string][]string
}

// Matches reports whether the rule selects a request from some address.
func (r Rule) Matches(q Request) bool {
	one := func(patterns []string, matches func(pattern string) bool) bool {
		return len(patterns) == 0 || slices.ContainsFunc(patterns, matches)
	}
	fold := func(text string) func(string) bool {
		return func(pattern string) bool { return matchesPattern(strings.ToLower(pattern), strings.ToLower(text)) }
	}
	if !one(r.Hosts, fold(q.Host)) || !one(r.Paths, func(p string) bool { return matchesPattern(p, q.Path) }) ||
		!one(r.Methods, func(m string) bool { return m == q.Method }) {
		return false
	}
	for _, h := range r.Headers {
		found := false
		for name, value := range q.Headers {
			found = found || strings.EqualFold(name, h.Name) && slices.ContainsFunc(h.Values, fold(value))
		}
		if !found {
			return false
		}
	}
	for _, condition := range r.QueryStrings {
		found := false
		for key, values := range q.Query {
			for _, value := range values {
				found = found || (condition.Key == "" || fold(key)(condition.Key)) && slices.ContainsFunc(condition.Values, fold(value))
			}
		}
		if !found {
			return false
		}
	}
	return true
}

// matchesPattern reports whether a text matches a pattern, in which * stands for any number
// of characters, ? for one, and a backslash takes the meaning of the next character.
func matchesPattern(pattern, text string) bool {
	for pattern != "" {
		c := pattern[0]
		if c == '*' {
			for i := range len(text) + 1 {
				if matchesPattern(pattern[1:], text[i:]) {
					return true
				}
			}
			return false
		}
		literal := c != '?'
		if c == '\\' && len(pattern) > 1 {
			c, pattern = pattern[1], pattern[1:]
		}
		if text == "" || literal && c != text[0] {
			return false
		}
		pattern, text = pattern[1:], text[1:]
	}
	return text == ""
}

func hasWildcard(text string) bool { return strings.ContainsAny(text, "*?") }

// Literal returns the first of some patterns that has no wildcards; empty if there is none.
func Literal(patterns []string) string {
	if i := slices.IndexFunc(patterns, func(p string) bool { return !hasWildcard(p) }); i >= 0 {
		return patterns[i]
	}
	return ""
}
