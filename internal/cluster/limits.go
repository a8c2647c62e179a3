package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Limits of a listener rule,
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html.
const (
	// MaxConditionValues is the number of values of all conditions in one rule.
	MaxConditionValues = 5
	// maxWildcards is the number of * and ? in one rule.
	maxWildcards = 5
	// documentedValues is the number of values in one condition,
	// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html.
	// Rules with more exist.
	documentedValues = 3
)

// MaxVersion is the maximum length of a version that servers run, in bytes: the description
// of a launch template's version has up to 255 characters, and names it after "version ",
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateLaunchTemplate.html.
const MaxVersion = 247

// What the values of conditions consist of, and their lengths,
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RuleCondition.html.
// Rules apply to visible ASCII characters only.
var (
	hostPattern = regexp.MustCompile(`^[A-Za-z0-9.*?-]{1,128}$`)
	// afterLastDot matches a host with a dot, and only letters or wildcards after the last.
	afterLastDot  = regexp.MustCompile(`\.[A-Za-z*?]+$`)
	pathPattern   = regexp.MustCompile(`^[A-Za-z0-9_.$/~"'@:+&*?-]{1,128}$`)
	headerName    = regexp.MustCompile("^[A-Za-z0-9!#$%&'+.^_`|~-]{1,40}$") // RFC 7230, without the wildcard
	methodPattern = regexp.MustCompile(`^[A-Z_-]{1,40}$`)
	textPattern   = regexp.MustCompile(`^[ -~]{1,128}$`)
)

// Validate reports what a load balancer would refuse. Values of headers and query strings
// may be secret, so they are not shown.
func (r Rule) Validate() error {
	values := slices.Concat(r.Hosts, r.Paths, r.Methods, r.SourceIPs)
	patterns := slices.Concat(r.Hosts, r.Paths)
	for _, h := range r.Headers {
		values, patterns = append(values, h.Values...), append(patterns, h.Values...)
	}
	for _, q := range r.QueryStrings {
		values, patterns = append(values, q.Values...), append(patterns, withoutEscapes(append([]string{q.Key}, q.Values...))...)
	}
	if len(values) == 0 {
		return errors.New("the listener rule selects no requests: give hosts, paths, headers, methods, query strings or source addresses, " +
			"or leave the rule out to take the listener's default action")
	}
	var errs []error
	if len(values) > MaxConditionValues {
		errs = append(errs, fmt.Errorf("the listener rule has %d values in its conditions, but a load balancer allows at most %d in one rule",
			len(values), MaxConditionValues))
	}
	wildcards := 0
	for _, pattern := range patterns {
		wildcards += strings.Count(pattern, "*") + strings.Count(pattern, "?")
	}
	if wildcards > maxWildcards {
		errs = append(errs, fmt.Errorf("the listener rule has %d wildcards, but a load balancer allows at most %d in one rule",
			wildcards, maxWildcards))
	}
	return errors.Join(append(errs, r.validateValues()...)...)
}

// withoutEscapes returns query strings without the characters that a backslash escapes.
func withoutEscapes(texts []string) []string {
	for i, text := range texts {
		texts[i] = escaped.ReplaceAllString(text, "")
	}
	return texts
}

var escaped = regexp.MustCompile(`\\[*?\\]`)

// validateValues validates the values of each kind of condition.
func (r Rule) validateValues() (errs []error) {
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, host := range r.Hosts {
		if !hostPattern.MatchString(host) || !afterLastDot.MatchString(host) {
			add("host %q of the listener rule: a load balancer allows letters, digits, hyphens, dots, * and ?, "+
				"with at least one dot and only letters after the last one; it matches no port", host)
		}
	}
	for _, path := range r.Paths {
		if !pathPattern.MatchString(path) {
			add(`path %q of the listener rule: a load balancer allows letters, digits, _ - . $ / ~ " ' @ : + & * and ?`, path)
		}
	}
	for _, h := range r.Headers {
		switch {
		case strings.EqualFold(h.Name, "host"):
			add("header %q of the listener rule: a load balancer compares it only with hosts", h.Name)
		case !headerName.MatchString(h.Name):
			add("header %q of the listener rule: a name has 1 to 40 of the characters that HTTP allows, and no wildcards", h.Name)
		}
		if !validTexts(h.Values) {
			add("header %q of the listener rule: it needs values, each of 1 to 128 visible ASCII characters", h.Name)
		}
	}
	for _, method := range r.Methods {
		if !methodPattern.MatchString(method) {
			add("method %q of the listener rule: a load balancer allows 1 to 40 capital letters, hyphens and underscores", method)
		}
	}
	for _, q := range r.QueryStrings {
		if q.Key != "" && !textPattern.MatchString(q.Key) || !validTexts(q.Values) {
			add("query string %q of the listener rule: it needs values; key and values have 1 to 128 visible ASCII characters", q.Key)
		}
	}
	for _, cidr := range r.SourceIPs {
		prefix, err := netip.ParsePrefix(cidr)
		switch {
		case err != nil:
			add("source address %q of the listener rule: a CIDR block such as 10.0.0.0/8 or 2001:db8::/32 is needed", cidr)
		case prefix.Masked().String() != cidr:
			add("source address %q of the listener rule: write it as %s", cidr, prefix.Masked())
		}
	}
	return errs
}

func validTexts(values []string) bool {
	return len(values) > 0 && !slices.ContainsFunc(values, func(value string) bool { return !textPattern.MatchString(value) })
}

// Warnings describes what a load balancer may refuse.
func (r Rule) Warnings() []string {
	var warnings []string
	check := func(values []string, of string) {
		if len(values) > documentedValues {
			warnings = append(warnings, fmt.Sprintf("the listener rule has %d %s; by AWS's documentation, a condition has at most %d values",
				len(values), of, documentedValues))
		}
	}
	check(r.Hosts, "hosts")
	check(r.Paths, "paths")
	check(r.Methods, "methods")
	for _, h := range r.Headers {
		check(h.Values, fmt.Sprintf("values of the header %q", h.Name))
	}
	for _, q := range r.QueryStrings {
		check(q.Values, fmt.Sprintf("values of the query string %q", q.Key))
	}
	return warnings
}

// matcher matches a list of status codes and ranges.
var matcher = regexp.MustCompile(`^(\d{3})(?:-(\d{3}))?$`)

// The status codes that an application load balancer can take for healthy,
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Matcher.html.
const minStatus, maxStatus = 200, 499

// Validate reports what a load balancer would refuse.
func (h HealthCheck) Validate() error {
	var errs []error
	if h.Timeout >= h.Interval {
		errs = append(errs, fmt.Errorf("health check: the timeout (%s) must be shorter than the interval (%s)", h.Timeout, h.Interval))
	}
	if !strings.HasPrefix(h.Path, "/") {
		errs = append(errs, fmt.Errorf("health check: the path %q must begin with a slash", h.Path))
	}
	if err := ValidateMatcher(h.Matcher, minStatus, maxStatus); err != nil {
		errs = append(errs, fmt.Errorf("health check: %w", err))
	}
	return errors.Join(errs...)
}

// ValidateMatcher reports a list of status codes and ranges that is not valid, or names
// others than those from least to most.
func ValidateMatcher(text string, least, most int) error {
	for part := range strings.SplitSeq(text, ",") {
		if low, high, ok := statusRange(part); !ok || low < least || high > most || high < low {
			return fmt.Errorf("the matcher %q is not valid: use status codes from %d to %d, such as 200, 200-299 or 200,302", text, least, most)
		}
	}
	return nil
}

// MatchesStatus reports whether a matcher, which is valid, lists a status code.
func MatchesStatus(text string, status int) bool {
	for part := range strings.SplitSeq(text, ",") {
		if low, high, ok := statusRange(part); ok && low <= status && status <= high {
			return true
		}
	}
	return false
}

// statusRange reads one part of a matcher.
func statusRange(part string) (low, high int, ok bool) {
	m := matcher.FindStringSubmatch(part)
	if m == nil {
		return 0, 0, false
	}
	low, lowErr := strconv.Atoi(m[1])
	high, highErr := strconv.Atoi(cmp.Or(m[2], m[1]))
	return low, high, lowErr == nil && highErr == nil
}
