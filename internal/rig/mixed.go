package rig

import (
	"bytes"
	"net/url"
	"strings"
	"sync"
)

// mixedPolicies are the mixed instances policies of Auto Scaling groups, by group. Moto forgets
// a policy in every update that does not repeat it, and tells no weights of instances. AWS keeps
// it, and does.
type mixedPolicies struct {
	mu     sync.Mutex
	groups map[string]url.Values
}

const mixedPolicyKey = "MixedInstancesPolicy."

// complete adds a group's policy to the body of an update that does not mention it.
func (m *mixedPolicies) complete(c Call, body []byte) []byte {
	if c.Action != "CreateAutoScalingGroup" && c.Action != "UpdateAutoScalingGroup" {
		return body
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	policy, name := url.Values{}, c.Form.Get("AutoScalingGroupName")
	for key, values := range c.Form {
		if strings.HasPrefix(key, mixedPolicyKey) {
			policy[key] = values
		}
	}
	switch known := m.groups[name]; {
	case len(policy) > 0:
		if m.groups == nil {
			m.groups = map[string]url.Values{}
		}
		m.groups[name] = policy
	case known != nil && !c.Form.Has("LaunchTemplate.LaunchTemplateId"):
		return append(append(bytes.Clone(body), '&'), known.Encode()...)
	}
	return body
}

// weigh adds the weights of instances to a description of groups. All of moto's instances are of
// the launch template's type, which is the first of the policy.
func (m *mixedPolicies) weigh(c Call, body []byte) []byte {
	if c.Action != "DescribeAutoScalingGroups" {
		return body
	}
	const (
		begin = "<member><AutoScalingGroupName>"
		end   = "</ProtectedFromScaleIn></member>"
	)
	m.mu.Lock()
	defer m.mu.Unlock()
	groups := strings.Split(string(body), begin)
	for i, group := range groups {
		name, _, _ := strings.Cut(group, "<")
		if weight := m.groups[name].Get(mixedPolicyKey + "LaunchTemplate.Overrides.member.1.WeightedCapacity"); i > 0 && weight != "" {
			groups[i] = strings.ReplaceAll(group, end, "</ProtectedFromScaleIn><WeightedCapacity>"+weight+"</WeightedCapacity></member>")
		}
	}
	return []byte(strings.Join(groups, begin))
}
