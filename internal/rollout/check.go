package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// Check tests a new generation, which alone gets its requests: by a request, or by a command.
type Check struct {
	// Path may have a query string.
	Path   string `json:"path,omitempty"`
	Method string `json:"method,omitempty"`
	// Headers may be secret. Host replaces the host that the preview implies.
	Headers map[string]string `json:"headers,omitempty"`
	// Status lists the status codes that are expected, as a matcher of a health check does.
	Status string `json:"status,omitempty"`
	// BodyContains is a part of the body that is expected, and BodyMatches a regular
	// expression.
	BodyContains string `json:"body_contains,omitempty"`
	BodyMatches  string `json:"body_matches,omitempty"`

	// Command is a program with its arguments, instead of a request. It passes if it exits
	// with code 0.
	Command []string `json:"command,omitempty"`

	// Timeout bounds one try, and Within how long a check that fails is tried again.
	Timeout time.Duration `json:"timeout_ns"`
	Within  time.Duration `json:"within_ns,omitempty"`
}

// Unreachable says what happens if a load balancer cannot be reached from where the rollout
// runs, so that the checks say nothing about the version.
type Unreachable string

const (
	// RollBack rolls the rollout back.
	RollBack Unreachable = "roll_back"
	// Continue continues without the checks.
	Continue Unreachable = "continue"
)

// Prober tests a generation from where the rollout runs.
type Prober interface {
	// Request sends a request, and follows no redirects. An *UnreachableError says that
	// nothing took the request. Any other error says that the answer is missing.
	Request(ctx context.Context, r ProbeRequest) (ProbeAnswer, error)
	// Command runs a program, with further variables NAME=value in its environment, in the
	// folder of this process. The error has the end of its output.
	Command(ctx context.Context, args, environ []string) error
}

// ProbeRequest is a request of a check.
type ProbeRequest struct {
	// URL has the address of the load balancer, and Host is the host that is asked for; empty
	// is the one in the URL.
	URL, Host, Method string
	Headers           map[string]string
}

// ProbeAnswer is an answer. Body may be cut.
type ProbeAnswer struct {
	Status int
	Body   string
}

// CheckError says that a version did not pass a check.
type CheckError struct {
	// Check names the check, as "GET /buy".
	Check         string
	Expected, Got string
}

func (e *CheckError) Error() string {
	return fmt.Sprintf("check %q: expected %s, got %s", e.Check, e.Expected, e.Got)
}

// UnreachableError says that checks could not be run, which says nothing about the version.
type UnreachableError struct{ Err error }

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("the checks could not be run, which says nothing about the version: %s", e.Err)
}

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// errNotChecked: the rollout continues without its checks.
var errNotChecked = errors.New("not checked, because the checks could not be run")

// name names a check without what may be secret.
func (c Check) name() string {
	if len(c.Command) > 0 {
		return c.Command[0]
	}
	path, _, _ := strings.Cut(c.Path, "?")
	return c.Method + " " + path
}

// validate reports what is wrong with a check whatever the cluster is.
func (c Check) validate() error {
	var errs []error
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("check %q: "+format, append([]any{c.name()}, args...)...))
	}
	if c.Timeout <= 0 {
		wrong("its timeout must be positive")
	}
	if len(c.Command) > 0 {
		if c.Path != "" || c.Method != "" || len(c.Headers) > 0 || c.Status != "" || c.BodyContains != "" || c.BodyMatches != "" {
			wrong("a command takes no path, method, headers, status and body: it sends requests itself")
		}
		return errors.Join(errs...)
	}
	if _, err := url.Parse(c.Path); err != nil || !strings.HasPrefix(c.Path, "/") {
		wrong("the path must begin with a slash and be a valid part of a URL; give a path, or a command")
	}
	if err := cluster.ValidateMatcher(c.Status, 100, 599); err != nil {
		wrong("%w", err)
	}
	if _, err := regexp.Compile(c.BodyMatches); err != nil {
		wrong("body_matches: %w", err)
	}
	return errors.Join(errs...)
}

// ValidateFor reports settings that do not fit the cluster.
func (s Settings) ValidateFor(spec cluster.Spec) error {
	if spec.Listener == nil {
		switch {
		case s.Preview != nil:
			return errors.New("rollout: a worker cluster gets no requests, so it has no preview; leave preview out")
		case s.TargetAlarms != nil:
			return errors.New("rollout: a worker cluster has no target group, so target_alarms has nothing to watch; leave it out")
		case slices.ContainsFunc(s.Checks, func(c Check) bool { return len(c.Command) == 0 }):
			return errors.New("rollout: a worker cluster gets no requests; check it with a command")
		}
		return nil
	}
	if s.Preview == nil {
		if len(s.Checks) > 0 {
			return errors.New("rollout: checks need a preview, because nothing else reaches the new servers alone, before users do; " +
				"add a block preview")
		}
		return nil
	}
	if err := s.Preview.Validate(spec.Listener.Rule); err != nil {
		return fmt.Errorf("rollout: %w", err)
	}
	var errs []error
	rule := s.Preview.Rule(spec.Listener.Rule)
	for _, c := range s.Checks {
		if len(c.Command) > 0 {
			continue
		}
		if !rule.Matches(s.request(c, spec)) {
			errs = append(errs, fmt.Errorf("check %q: the preview's rule, which has the conditions of the cluster's rule, "+
				"does not select this request, so that another version might answer it; "+
				"compare host (set the header Host), path, method, headers and query string", c.name()))
		}
	}
	return errors.Join(errs...)
}

// request is what a check asks for, as the load balancer sees it. Beside the preview's
// header, it has those that the cluster's rule asks for.
func (s Settings) request(c Check, spec cluster.Spec) cluster.Request {
	u, err := url.Parse(c.Path)
	if err != nil {
		u = &url.URL{} // validate has refused it
	}
	q := cluster.Request{
		Method: c.Method, Path: u.EscapedPath(), Query: u.Query(), Headers: map[string]string{},
	}
	if rule := spec.Listener.Rule; rule != nil {
		q.Host = cluster.Literal(rule.Hosts)
		for _, h := range rule.Headers {
			q.Headers[h.Name] = cluster.Literal(h.Values)
		}
	}
	q.Host = cmp.Or(s.Preview.Host, q.Host)
	for name, value := range c.Headers {
		if strings.EqualFold(name, "host") {
			q.Host = value
			continue
		}
		maps.DeleteFunc(q.Headers, func(other, _ string) bool { return strings.EqualFold(other, name) })
		q.Headers[name] = value
	}
	if h := s.Preview.Header; h != nil {
		q.Headers[h.Name] = h.Values[0]
	}
	return q
}

// secrets are the values in a check and its settings that no message may show.
func (s Settings) secrets(c Check, spec cluster.Spec) []string {
	all := slices.Collect(maps.Values(c.Headers))
	if s.Preview != nil {
		all = slices.AppendSeq(all, maps.Values(s.request(c, spec).Headers))
	}
	return all
}

// checkProgress is how far a step has come with the checks.
type checkProgress struct {
	// passed counts the checks that are done, and since is when the next one was first tried.
	passed int
	since  time.Duration
	// begun says that address, which is the load balancer's, is known.
	begun   bool
	address string
	// result is where the check that runs now leaves its result; nil if none runs.
	result chan error
	cancel context.CancelFunc
}

// checkPause is how long one attempt waits for a check. A check may take longer: meanwhile,
// further attempts renew the lease.
const checkPause = time.Second

// await starts a check or continues to wait for the one that runs.
func (p *checkProgress) await(ctx context.Context, do func(ctx context.Context) error) (finished bool, err error) {
	if p.result == nil {
		background, cancel := context.WithCancel(context.WithoutCancel(ctx))
		result := make(chan error, 1)
		p.result, p.cancel = result, cancel
		go func() { result <- do(background) }()
	}
	pause, done := context.WithTimeout(ctx, checkPause)
	defer done()
	select {
	case err := <-p.result:
		p.cancel()
		p.result = nil
		return true, err
	case <-pause.Done():
		return false, ctx.Err()
	}
}

// stop ends the check that runs, if there is one, and waits for its end.
func (p *checkProgress) stop() {
	if p.result != nil {
		p.cancel()
		<-p.result
		p.result = nil
	}
}

// check runs the checks that the present step has not run yet.
func (r *runner) check(ctx context.Context, s Step, of GenerationRecord, waited time.Duration) error {
	settings, p := r.journal.plan.Settings, &r.checks
	if r.manager.Prober == nil {
		return errors.New("this program runs no checks; continue with \"delivery rollout resume\" or an apply")
	}
	if s.Percent > 0 {
		if err := r.checkAlarms(ctx, of, false); err != nil {
			return err
		}
	}
	if !p.begun {
		if err := r.beginChecks(ctx, of); err != nil {
			return r.unchecked(ctx, of, err)
		}
		p.begun = true
	}
	for p.passed < len(settings.Checks) {
		c := settings.Checks[p.passed]
		finished, err := p.await(ctx, func(ctx context.Context) error { return r.runCheck(ctx, c, s, of) })
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !finished:
			return &cluster.NotYetError{Saw: fmt.Sprintf("check %q is running", c.name())}
		case err == nil:
			p.passed, p.since = p.passed+1, waited
		case waited-p.since < c.Within:
			return &cluster.NotYetError{Saw: err.Error(), Err: err}
		default:
			return r.unchecked(ctx, of, err)
		}
	}
	return nil
}

// beginChecks finds out where the checks of a step go, and whether a server can answer.
func (r *runner) beginChecks(ctx context.Context, of GenerationRecord) error {
	to, err := r.pinCapacity(ctx)
	if err != nil {
		return err
	}
	if to.Exists && to.Desired == 0 {
		return &UnreachableError{errors.New("the cluster is scaled to no servers at the moment")}
	}
	r.checks.address = r.journal.plan.Settings.CheckURL
	if r.checks.address == "" && of.Spec.Listener != nil {
		r.checks.address, err = r.manager.Cloud.Address(ctx, of.Spec.Listener.ARN)
	}
	return err
}

// unchecked is the error of the step after an error of a check.
func (r *runner) unchecked(ctx context.Context, of GenerationRecord, err error) error {
	if r.journal.plan.Settings.Unreachable == Continue && errors.As(err, new(*UnreachableError)) {
		r.manager.warn(ctx, "version %s is rolled out without its checks: %s", of.Spec.Version, err)
		return errNotChecked
	}
	return err
}

// runCheck runs one check once.
func (r *runner) runCheck(ctx context.Context, c Check, s Step, of GenerationRecord) error {
	settings, prober, spec := r.journal.plan.Settings, r.manager.Prober, of.Spec
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	failed := func(expected, got string) error {
		return &CheckError{Check: c.name(), Expected: expected, Got: text.Hide(got, settings.secrets(c, spec))}
	}
	if len(c.Command) > 0 {
		err := prober.Command(ctx, c.Command, settings.checkEnviron(c, s, spec, r.checks.address))
		switch {
		case err == nil:
			return nil
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return failed("exit code 0", fmt.Sprintf("no end within %s: %s", c.Timeout, err))
		}
		return failed("exit code 0", err.Error())
	}
	q := settings.request(c, spec)
	answer, err := prober.Request(ctx, ProbeRequest{
		URL: strings.TrimSuffix(r.checks.address, "/") + c.Path, Host: q.Host, Method: c.Method, Headers: q.Headers,
	})
	var unreachable *UnreachableError
	switch {
	case errors.As(err, &unreachable):
		return unreachable
	case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return failed("an answer", fmt.Sprintf("none within %s", c.Timeout))
	case err != nil:
		return failed("an answer", err.Error())
	}
	got := fmt.Sprintf("status %d", answer.Status)
	if line := firstLine(text.Hide(answer.Body, settings.secrets(c, spec))); line != "" {
		got += fmt.Sprintf(" with the body %q", line)
	}
	switch {
	case !cluster.MatchesStatus(c.Status, answer.Status):
		return failed("status "+c.Status, got)
	case !strings.Contains(answer.Body, c.BodyContains):
		return failed(fmt.Sprintf("a body that contains %q", c.BodyContains), got)
	case c.BodyMatches != "" && !regexp.MustCompile(c.BodyMatches).MatchString(answer.Body):
		return failed(fmt.Sprintf("a body that matches %q", c.BodyMatches), got)
	}
	return nil
}

// firstLine is the beginning of a body.
func firstLine(body string) string {
	const most = 120
	line, _, more := strings.Cut(strings.TrimSpace(body), "\n")
	line = strings.TrimSpace(line)
	if len(line) > most {
		line, more = strings.ToValidUTF8(line[:most], ""), true
	}
	if more {
		line += "…"
	}
	return line
}

// checkEnviron tells a command what to check.
func (s Settings) checkEnviron(c Check, step Step, spec cluster.Spec, address string) []string {
	environ := []string{
		"DELIVERY_CHECK_SERVICE=" + spec.Service,
		"DELIVERY_CHECK_ENVIRONMENT=" + spec.Environment,
		"DELIVERY_CHECK_VERSION=" + spec.Version,
		"DELIVERY_CHECK_PERCENT=" + fmt.Sprint(step.Percent),
	}
	if s.Preview == nil {
		return environ
	}
	environ = append(environ, "DELIVERY_CHECK_URL="+address, "DELIVERY_CHECK_HOST="+s.request(c, spec).Host)
	if h := s.Preview.Header; h != nil {
		environ = append(environ, "DELIVERY_CHECK_HEADER_NAME="+h.Name, "DELIVERY_CHECK_HEADER_VALUE="+h.Values[0])
	}
	return environ
}

// targetAlarms are the names of the alarms made for the new generation; none if it has none.
func (p *Plan) targetAlarms() []string {
	if p.To == nil || p.Settings.TargetAlarms == nil {
		return nil
	}
	return p.Settings.TargetAlarms.Names(p.To.generation())
}

// checkAlarms reports alarms that speak against the rollout: the configured ones, and those
// made for the new generation, which count nothing without data. AWS may not show one of
// these for a moment, which matters only at last.
func (r *runner) checkAlarms(ctx context.Context, of GenerationRecord, last bool) error {
	plan := r.journal.plan
	own := plan.targetAlarms()
	if len(own) == 0 || r.journal.rollingBack || !r.journal.done[Step{Kind: MakeAlarms, Generation: plan.toName()}.Code()] {
		return r.manager.checkAlarms(ctx, plan.Settings)
	}
	configured := plan.Settings.Alarms
	all, err := r.manager.Cloud.Alarms(ctx, append(slices.Clone(configured), own...))
	if err != nil {
		return err
	}
	configuredErr := cluster.Verdict(all[:len(configured)], plan.Settings.MissingDataIsBad)
	missing := func(a cluster.Alarm) bool { return a.State == cluster.AlarmMissing }
	made := all[len(configured):]
	visible := slices.DeleteFunc(slices.Clone(made), missing)
	if err := errors.Join(configuredErr, cluster.Verdict(visible, false)); err != nil {
		return err
	}
	if last && len(visible) < len(made) {
		return &cluster.NotYetError{Saw: fmt.Sprintf("an alarm of %s does not exist, or is not visible", of.Name)}
	}
	return nil
}
