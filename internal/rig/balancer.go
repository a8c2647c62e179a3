package rig

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// announce brings the rules into effect, at once or after the propagation delay of
// AWS's nodes.
func (d *DataPlane) announce(rules []rule) {
	if d.announced && reflect.DeepEqual(rules, d.latest) {
		return
	}
	d.latest = rules
	if !d.announced || d.options.Propagation == 0 {
		d.announced, d.rules = true, rules
		return
	}
	d.pending = append(d.pending, pending{at: time.Now().Add(d.options.Propagation), rules: rules})
}

// pending are rules that are not in effect yet.
type pending struct {
	at    time.Time
	rules []rule
}

// effective are the rules in effect.
func (d *DataPlane) effective() []rule {
	for len(d.pending) > 0 && !time.Now().Before(d.pending[0].at) {
		d.rules, d.pending = d.pending[0].rules, d.pending[1:]
	}
	return d.rules
}

// The load balancer's cookies. AWS's are AWSALBTG and AWSALB, and encrypted.
const (
	groupCookie  = "RIGALBTG"
	targetCookie = "RIGALB"
)

// choice is the target of a request, or an answer without one.
type choice struct {
	target            *target
	cookies           []*http.Cookie
	status            int
	contentType, body string
}

// choose chooses the target of a request. Stickiness in AWS:
//
//   - A client with a cookie for a target group returns to it until the duration
//     is over, even if its weight is 0: stickiness takes precedence over weights.
//     A target group without healthy targets, or without targets, does not end
//     it either; the latter answers 503
//     (https://repost.aws/questions/QUugYm4uzWSI2af5mnmMjlZQ, the accepted
//     answer; the user guide does not mention it). It ends when the rule no longer
//     contains the target group.
//   - A target's cookie is honoured only while the target could get requests
//     anyway; if it is unhealthy or deregistered, the client gets another one.
//   - Whether each request restarts a cookie's duration is not documented. Here it
//     does not, as with Classic Load Balancers.
func (d *DataPlane) choose(r *http.Request) choice {
	d.mu.Lock()
	defer d.mu.Unlock()
	rules := d.effective()
	at := slices.IndexFunc(rules, func(rule rule) bool { return rule.matches(r) })
	if at < 0 {
		return choice{status: http.StatusBadGateway, body: "the listener does not exist"}
	}
	a := rules[at].action
	if len(a.weights) == 0 {
		return choice{status: a.status, contentType: a.contentType, body: a.body}
	}
	var c choice
	arn, stuck := "", false
	if a.sticky > 0 {
		arn, stuck = stickTo(r, groupCookie)
		stuck = stuck && slices.Contains(a.groups(), arn)
	}
	if !stuck {
		arn = a.pick()
		if a.sticky > 0 && arn != "" {
			c.cookies = append(c.cookies, stick(groupCookie, arn, a.sticky))
		}
	}
	g := d.groups[arn]
	if g == nil { // all weights are 0, or it was deleted
		return choice{status: http.StatusServiceUnavailable, body: "no target group"}
	}
	candidates := g.candidates()
	if len(candidates) == 0 {
		return choice{status: http.StatusServiceUnavailable, body: "no targets in " + g.name}
	}
	if g.sticky > 0 {
		if id, ok := stickTo(r, targetCookie); ok {
			if at := slices.IndexFunc(candidates, func(t *target) bool { return t.id == id }); at >= 0 {
				c.target = candidates[at]
				return c
			}
		}
	}
	c.target = candidates[g.turns%len(candidates)]
	g.turns++
	if g.sticky > 0 {
		c.cookies = append(c.cookies, stick(targetCookie, c.target.id, g.sticky))
	}
	return c
}

// stick returns a cookie with a target group or a target, and its expiry. The expiry
// is part of the value, because that of cookies is in whole seconds.
func stick(name, to string, last time.Duration) *http.Cookie {
	value := strconv.FormatInt(time.Now().Add(last).UnixNano(), 10) + "." + base64.RawURLEncoding.EncodeToString([]byte(to))
	return &http.Cookie{Name: name, Value: value, Path: "/"}
}

// stickTo reads a cookie that has not expired.
func stickTo(r *http.Request, name string) (to string, ok bool) {
	cookie, err := r.Cookie(name)
	if err != nil {
		return "", false
	}
	until, encoded, _ := strings.Cut(cookie.Value, ".")
	nanoseconds, err := strconv.ParseInt(until, 10, 64)
	if err != nil || time.Now().UnixNano() > nanoseconds {
		return "", false
	}
	decoded, err := base64.RawURLEncoding.DecodeString(encoded)
	return string(decoded), err == nil
}

// ServeHTTP implements http.Handler: it is the load balancer.
func (d *DataPlane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := d.choose(r)
	if c.target == nil {
		if c.contentType != "" {
			w.Header().Set("Content-Type", c.contentType)
		}
		w.WriteHeader(c.status)
		_, _ = io.WriteString(w, c.body)
		return
	}
	header, status, body, err := d.forward(r, c.target)
	switch {
	case r.Context().Err() != nil:
		panic(http.ErrAbortHandler) // the client has disconnected
	case err != nil:
		// Unlike AWS for some failed connections, no other target is tried, which
		// would hide errors here.
		http.Error(w, fmt.Sprintf("%s did not answer: %v", c.target.id, err), http.StatusBadGateway)
		return
	}
	maps.Copy(w.Header(), header)
	for _, cookie := range c.cookies {
		http.SetCookie(w, cookie)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// forward sends a request to a target and reads the whole answer, so that an
// incomplete one is an error. The target's deregistration cancels it.
func (d *DataPlane) forward(r *http.Request, t *target) (http.Header, int, []byte, error) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	out := r.Clone(ctx)
	out.RequestURI = ""
	out.URL.Scheme, out.URL.Host = "http", t.address
	for _, name := range []string{"Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade"} {
		out.Header.Del(name)
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		out.Header.Set("X-Forwarded-For", host)
	}
	resp, err := d.requests.RoundTrip(out)
	if err != nil {
		return nil, 0, nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, 0, nil, err
	}
	resp.Header.Del("Connection")
	return resp.Header, resp.StatusCode, body, nil
}
