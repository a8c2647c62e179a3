package cluster

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Limits of a listener rule,
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html.
const (
	// maxConditionValues is the number of hosts and paths together in one rule.
	maxConditionValues = 5
	// maxWildcards is the number of * and ? in one rule.
	maxWildcards = 5
	// documentedValues is the number of values in one condition,
	// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/listener-rules.html.
	// Rules with more exist.
	documentedValues = 3
)

// MaxVersion is the maximum length of a version that servers run, in bytes: the description
// of a launch template's version has up to 255 characters, and names it after "version ",
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateLaunchTemplate.html.
const MaxVersion = 247

// Hosts and paths have up to 128 of these characters,
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RuleCondition.html.
var (
	hostPattern = regexp.MustCompile(`^[A-Za-z0-9.*?-]{1,128}$`)
	// afterLastDot matches a host with a dot, and only letters or wildcards after the last.
	afterLastDot = regexp.MustCompile(`\.[A-Za-z*?]+$`)
	pathPattern  = regexp.MustCompile(`^[A-Za-z0-9_.$/~"'@:+&*?-]{1,128}$`)
)

// Validate reports what a load balancer would refuse.
func (r Rule) Validate() error {
	var errs []error
	switch n := len(r.Hosts) + len(r.Paths); {
	case n == 0:
		return errors.New("the listener rule selects no requests: give hosts, paths or both, " +
			"or leave the rule out to take the listener's default action")
	case n > maxConditionValues:
		errs = append(errs, fmt.Errorf("the listener rule has %d hosts and paths, but a load balancer allows at most %d in one rule",
			n, maxConditionValues))
	}
	wildcards := 0
	for _, value := range append(append([]string(nil), r.Hosts...), r.Paths...) {
		wildcards += strings.Count(value, "*") + strings.Count(value, "?")
	}
	if wildcards > maxWildcards {
		errs = append(errs, fmt.Errorf("the listener rule has %d wildcards, but a load balancer allows at most %d in one rule",
			wildcards, maxWildcards))
	}
	for _, host := range r.Hosts {
		if !hostPattern.MatchString(host) || !afterLastDot.MatchString(host) {
			errs = append(errs, fmt.Errorf("host %q of the listener rule: a load balancer allows letters, digits, hyphens, dots, * and ?, "+
				"with at least one dot and only letters after the last one; it matches no port", host))
		}
	}
	for _, path := range r.Paths {
		if !pathPattern.MatchString(path) {
			errs = append(errs, fmt.Errorf(
				`path %q of the listener rule: a load balancer allows letters, digits, _ - . $ / ~ " ' @ : + & * and ?`, path))
		}
	}
	return errors.Join(errs...)
}

// Warnings describes what a load balancer may refuse.
func (r Rule) Warnings() []string {
	var warnings []string
	for name, values := range map[string][]string{"hosts": r.Hosts, "paths": r.Paths} {
		if len(values) > documentedValues {
			warnings = append(warnings, fmt.Sprintf("the listener rule has %d %s; by AWS's documentation, a condition has at most %d values",
				len(values), name, documentedValues))
		}
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
	for part := range strings.SplitSeq(h.Matcher, ",") {
		m := matcher.FindStringSubmatch(part)
		if m == nil || !statusCode(m[1]) || m[2] != "" && (!statusCode(m[2]) || m[2] < m[1]) {
			errs = append(errs, fmt.Errorf("health check: the matcher %q is not valid: use status codes from %d to %d, "+
				"such as 200, 200-299 or 200,302", h.Matcher, minStatus, maxStatus))
			break
		}
	}
	return errors.Join(errs...)
}

func statusCode(text string) bool {
	code, err := strconv.Atoi(text)
	return err == nil && code >= minStatus && code <= maxStatus
}
