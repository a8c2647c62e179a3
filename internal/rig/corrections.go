package rig

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// corrections make right what moto tells wrongly of Auto Scaling groups:
//   - it knows scaling policies and scheduled actions by their names, whatever their group is;
//   - it ignores the lifecycle hooks of CreateAutoScalingGroup, and shows an invented target and
//     role of each;
//   - it forgets mixed instances policies in updates;
//   - it forgets the maximum lifetime, and the termination policies of UpdateAutoScalingGroup.
//
// No hook ever runs: moto has none to run.
type corrections struct {
	mixed  mixedPolicies
	mu     sync.Mutex
	groups map[string]*corrected
}

// corrected is what AWS would know of a group.
type corrected struct {
	hooks       map[string]lifecycleHook
	order       []string
	lifetime    string
	termination []string
}

type lifecycleHook struct {
	LifecycleHookName     string
	AutoScalingGroupName  string
	LifecycleTransition   string
	NotificationTargetARN string `xml:",omitempty"`
	RoleARN               string `xml:",omitempty"`
	NotificationMetadata  string `xml:",omitempty"`
	HeartbeatTimeout      string
	GlobalTimeout         string
	DefaultResult         string
}

// separator stands between the group and the name in the names that moto sees.
const separator = "..in.."

var scheduleName = regexp.MustCompile(`^ScheduledUpdateGroupActions\.member\.\d+\.ScheduledActionName$`)

// request returns the body of the call as moto is to see it.
func (c *corrections) request(call Call, body []byte) []byte {
	group := call.Form.Get("AutoScalingGroupName")
	if call.Service != "autoscaling" || group == "" {
		return body
	}
	body = c.mixed.complete(call, body)
	form := url.Values{}
	changed := false
	for key, values := range call.Form {
		form[key] = values
		if key == "PolicyName" || key == "ScheduledActionName" || scheduleName.MatchString(key) {
			form[key] = []string{group + separator + values[0]}
			changed = true
		}
	}
	if !changed {
		return body
	}
	return []byte(form.Encode())
}

// answer replies instead of moto to what it does not know; nil for everything else.
func (c *corrections) answer(call Call) []byte {
	if call.Service != "autoscaling" {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	name := call.Form.Get("AutoScalingGroupName")
	switch call.Action {
	case "DescribeLifecycleHooks":
		var reply struct {
			XMLName xml.Name        `xml:"http://autoscaling.amazonaws.com/doc/2011-01-01/ DescribeLifecycleHooksResponse"`
			Hooks   []lifecycleHook `xml:"DescribeLifecycleHooksResult>LifecycleHooks>member"`
		}
		if group := c.groups[name]; group != nil {
			for _, hook := range group.order {
				reply.Hooks = append(reply.Hooks, group.hooks[hook])
			}
		}
		body, err := xml.Marshal(reply)
		if err != nil {
			panic(err) // strings always encode
		}
		return body
	case "DisableMetricsCollection": // moto has no such call, and keeps them
		return []byte(`<DisableMetricsCollectionResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"/>`)
	}
	return nil
}

// processed takes note of what moto has accepted, and returns its reply as AWS would give it.
func (c *corrections) processed(call Call, status int, reply []byte) []byte {
	if call.Service != "autoscaling" || status != 200 {
		return reply
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	form, name := call.Form, call.Form.Get("AutoScalingGroupName")
	switch call.Action {
	case "CreateAutoScalingGroup":
		group := c.group(name)
		for i := 1; form.Has(fmt.Sprintf("LifecycleHookSpecificationList.member.%d.LifecycleHookName", i)); i++ {
			group.put(name, form, fmt.Sprintf("LifecycleHookSpecificationList.member.%d.", i))
		}
		group.set(form)
	case "UpdateAutoScalingGroup":
		c.group(name).set(form)
	case "PutLifecycleHook":
		c.group(name).put(name, form, "")
	case "DeleteLifecycleHook":
		c.group(name).drop(form.Get("LifecycleHookName"))
	case "DeleteAutoScalingGroup":
		delete(c.groups, name)
	case "DescribeAutoScalingGroups":
		for name, group := range c.groups {
			reply = group.describe(name, reply)
		}
	}
	reply = c.mixed.weigh(call, reply)
	// <GROUP..in..NAME> becomes NAME again, in ARNs, too.
	return strippedNames.ReplaceAll(reply, nil)
}

var strippedNames = regexp.MustCompile(`[A-Za-z0-9_-]+` + regexp.QuoteMeta(separator))

func (c *corrections) group(name string) *corrected {
	if c.groups == nil {
		c.groups = map[string]*corrected{}
	}
	if c.groups[name] == nil {
		c.groups[name] = &corrected{hooks: map[string]lifecycleHook{}}
	}
	return c.groups[name]
}

func (g *corrected) put(group string, form url.Values, prefix string) {
	h := lifecycleHook{
		LifecycleHookName: form.Get(prefix + "LifecycleHookName"), AutoScalingGroupName: group,
		LifecycleTransition:   form.Get(prefix + "LifecycleTransition"),
		NotificationTargetARN: form.Get(prefix + "NotificationTargetARN"), RoleARN: form.Get(prefix + "RoleARN"),
		NotificationMetadata: form.Get(prefix + "NotificationMetadata"),
		HeartbeatTimeout:     form.Get(prefix + "HeartbeatTimeout"), GlobalTimeout: "172800", DefaultResult: form.Get(prefix + "DefaultResult"),
	}
	if h.HeartbeatTimeout == "" {
		h.HeartbeatTimeout = "3600"
	}
	if h.DefaultResult == "" {
		h.DefaultResult = "ABANDON"
	}
	if _, there := g.hooks[h.LifecycleHookName]; !there {
		g.order = append(g.order, h.LifecycleHookName)
	}
	g.hooks[h.LifecycleHookName] = h
}

func (g *corrected) drop(hook string) {
	delete(g.hooks, hook)
	for i, name := range g.order {
		if name == hook {
			g.order = append(g.order[:i:i], g.order[i+1:]...)
			return
		}
	}
}

func (g *corrected) set(form url.Values) {
	if form.Has("MaxInstanceLifetime") {
		g.lifetime = form.Get("MaxInstanceLifetime")
	}
	if !form.Has("TerminationPolicies.member.1") {
		return
	}
	g.termination = nil
	for i := 1; form.Has("TerminationPolicies.member." + strconv.Itoa(i)); i++ {
		g.termination = append(g.termination, form.Get("TerminationPolicies.member."+strconv.Itoa(i)))
	}
}

var terminationElement = regexp.MustCompile(`(?s)<TerminationPolicies>.*?</TerminationPolicies>|<TerminationPolicies ?/>`)

// describe changes the description of the group in a reply.
func (g *corrected) describe(name string, reply []byte) []byte {
	at := bytes.Index(reply, []byte("<AutoScalingGroupName>"+name+"</AutoScalingGroupName>"))
	if at < 0 {
		return reply
	}
	before, after := reply[:at], reply[at:]
	// The description ends where the next group's begins.
	rest := []byte{}
	if next := bytes.Index(after[1:], []byte("<AutoScalingGroupName>")); next >= 0 {
		after, rest = after[:next+1], after[next+1:]
	}
	var extra strings.Builder
	if g.lifetime != "" && g.lifetime != "0" {
		extra.WriteString("<MaxInstanceLifetime>" + g.lifetime + "</MaxInstanceLifetime>")
	}
	if g.termination != nil {
		after = terminationElement.ReplaceAll(after, nil)
		extra.WriteString("<TerminationPolicies>")
		for _, policy := range g.termination {
			extra.WriteString("<member>" + policy + "</member>")
		}
		extra.WriteString("</TerminationPolicies>")
	}
	if extra.Len() > 0 {
		end := []byte("<AutoScalingGroupName>" + name + "</AutoScalingGroupName>")
		after = bytes.Replace(after, end, append(end, extra.String()...), 1)
	}
	return append(append(append([]byte{}, before...), after...), rest...)
}
