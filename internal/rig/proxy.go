package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// Proxy stands between a program and AWS. It can make single calls fail, answer them
// instead of AWS, and report those that AWS has processed.
type Proxy struct {
	// URL is its address, to be used as the endpoint of every AWS service.
	URL string

	target    *url.URL
	transport *http.Transport
	server    *http.Server
	mixed     mixedPolicies

	mu       sync.Mutex
	rule     func(Call) *Fault
	answer   func(context.Context, Call) []byte
	notified func(Call)
}

// Call is one call of an AWS service, as the client sent it. Each retry is a Call of
// its own, with the same content.
type Call struct {
	// Service and Region are those of the call's signature: "ec2",
	// "autoscaling", "elasticloadbalancing"; "eu-north-1".
	Service string
	Region  string
	// Action is the operation's name, "CreateTags". For REST services it is
	// "METHOD /path".
	Action string
	// Form holds the parameters of a call in AWS's Query protocol, as
	// "ResourceId.1"; it is empty in other protocols.
	Form url.Values
}

// Fault is an injected fault: what happens to a call instead of its reply.
type Fault struct {
	// Status is the reply's HTTP status; 0 breaks the connection instead.
	Status int
	// Code is AWS's error code: "RequestLimitExceeded", "Throttling",
	// "InternalError".
	Code string
	// Body, when set, is the body of a reply that is not an error: then Status is
	// 200, and Code is empty.
	Body []byte
	// After lets AWS process the call before its reply is replaced or lost.
	After bool
}

// NewProxy starts a proxy on a free port in front of the endpoint target.
func NewProxy(target string) (*Proxy, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("start a proxy: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start a proxy: %w", err)
	}
	p := &Proxy{
		URL:    "http://" + listener.Addr().String(),
		target: u,
		// Replies pass as they are, compressed or not.
		transport: &http.Transport{DisableCompression: true},
	}
	p.server = &http.Server{Handler: p}
	go func() { _ = p.server.Serve(listener) }()
	return p, nil
}

// Close ends the proxy and all calls in progress.
func (p *Proxy) Close() error {
	p.transport.CloseIdleConnections()
	return p.server.Close()
}

// Intercept applies rule to every call from now on; if it returns nil, the call
// passes. The rule is called for one call at a time, before the call is processed, so
// it may count without a lock. A nil rule lets all calls pass.
func (p *Proxy) Intercept(rule func(Call) *Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule = rule
}

// Answer lets answer reply instead of AWS from now on: the call does not reach AWS if
// it returns the body of a reply, and does if it returns nil. It is not called for
// calls with a fault. Unlike Intercept's rule, answer may be called for several calls
// at a time, and may wait. A nil answer leaves every call to AWS.
func (p *Proxy) Answer(answer func(context.Context, Call) []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

// Notify calls notified from now on after each call that AWS has processed, before its
// reply is returned, and also if the reply is lost. It may be called for several calls
// at a time. nil ends it.
func (p *Proxy) Notify(notified func(Call)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notified = notified
}

func (p *Proxy) answerTo(ctx context.Context, c Call) []byte {
	p.mu.Lock()
	answer := p.answer
	p.mu.Unlock()
	if answer == nil {
		return nil
	}
	return answer(ctx, c)
}

func (p *Proxy) notify(c Call) {
	p.mu.Lock()
	notified := p.notified
	p.mu.Unlock()
	if notified != nil {
		notified(c)
	}
}

func (p *Proxy) decide(c Call) *Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rule == nil {
		return nil
	}
	return p.rule(c)
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the client has disconnected
	}
	call := newCall(r, body)
	fault := p.decide(call)
	if fault != nil && !fault.After {
		fault.reply(w, call)
		return
	}
	if fault == nil {
		if answer := p.answerTo(r.Context(), call); answer != nil {
			(&Fault{Status: http.StatusOK, Body: answer}).reply(w, call)
			return
		}
	}
	resp, err := p.forward(r, p.mixed.complete(call, body))
	p.notify(call)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	if fault != nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		fault.reply(w, call)
		return
	}
	reply, err := io.ReadAll(resp.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	reply = p.mixed.weigh(call, resp.Header, reply)
	maps.Copy(w.Header(), resp.Header)
	w.Header().Set("Content-Length", strconv.Itoa(len(reply)))
	w.WriteHeader(resp.StatusCode)
	_, _ = w.Write(reply)
}

func (p *Proxy) forward(r *http.Request, body []byte) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.RequestURI = ""
	out.URL.Scheme, out.URL.Host, out.Host = p.target.Scheme, p.target.Host, p.target.Host
	out.Body = io.NopCloser(bytes.NewReader(body))
	out.ContentLength, out.TransferEncoding = int64(len(body)), nil
	return p.transport.RoundTrip(out)
}

func newCall(r *http.Request, body []byte) Call {
	c := Call{Action: r.Method + " " + r.URL.Path, Form: url.Values{}}
	// AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, SignedHeaders=...
	_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	scope, _, _ = strings.Cut(scope, ",")
	if parts := strings.Split(scope, "/"); len(parts) == 5 {
		c.Region, c.Service = parts[2], parts[3]
	}
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		c.Action = target[strings.LastIndex(target, ".")+1:] // DynamoDB_20120810.PutItem
		return c
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		if form, err := url.ParseQuery(string(body)); err == nil && form.Has("Action") {
			c.Action, c.Form = form.Get("Action"), form
		}
	}
	return c
}

// faultMessage is the message of injected faults, for readers of logs.
const faultMessage = "this fault was injected by the test rig"

// reply answers the call with the fault, in the protocol of its service.
func (f *Fault) reply(w http.ResponseWriter, c Call) {
	if f.Status == 0 {
		panic(http.ErrAbortHandler) // closes the connection without a reply
	}
	contentType, body := "text/xml", f.Body
	if body == nil {
		contentType, body = f.encode(c)
		w.Header().Set("X-Amzn-ErrorType", f.Code)
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(f.Status)
	_, _ = w.Write(body)
}

// xmlError is an error in the Query protocol and in EC2's variant of it.
type xmlError struct {
	Type    string `xml:",omitempty"`
	Code    string
	Message string
}

func (f *Fault) encode(c Call) (contentType string, body []byte) {
	var err error
	switch {
	case c.Service == "ec2":
		contentType = "text/xml;charset=UTF-8"
		body, err = xml.Marshal(struct {
			XMLName   xml.Name `xml:"Response"`
			Error     xmlError `xml:"Errors>Error"`
			RequestID string
		}{Error: xmlError{Code: f.Code, Message: faultMessage}, RequestID: "rig"})
	case c.Form.Has("Action"):
		contentType = "text/xml"
		origin := "Sender"
		if f.Status >= http.StatusInternalServerError {
			origin = "Receiver"
		}
		body, err = xml.Marshal(struct {
			XMLName   xml.Name `xml:"ErrorResponse"`
			Error     xmlError
			RequestID string `xml:"RequestId"`
		}{Error: xmlError{Type: origin, Code: f.Code, Message: faultMessage}, RequestID: "rig"})
	default:
		contentType = "application/x-amz-json-1.0"
		body, err = json.Marshal(map[string]string{"__type": f.Code, "message": faultMessage})
	}
	if err != nil {
		panic(err) // strings always encode
	}
	return contentType, body
}
