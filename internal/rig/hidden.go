package rig

import (
	"net/http"
	"slices"
	"strings"
)

// Hidden is a rule for Proxy.Intercept that emulates the eventual consistency of
// AWS: the first describe calls by name do not find a new target group, launch
// template or Auto Scaling group. A rule that does more can call Hidden's for every
// call.
//
// It ignores calls that describe everything, or by id.
func Hidden(describes int) func(Call) *Fault {
	left := map[string]int{} // of kind and name
	return func(c Call) *Fault {
		for _, k := range hiddenKinds {
			switch c.Action {
			case "Create" + k.kind:
				key := k.kind + " " + c.Form.Get(k.name)
				if _, retried := left[key]; !retried {
					left[key] = describes
				}
				return nil
			case "Describe" + k.kind + "s":
				names := c.names(k.names)
				hidden := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return left[k.kind+" "+name] == 0 })
				for _, name := range hidden {
					left[k.kind+" "+name]--
				}
				// Auto Scaling leaves out what it does not find; the other two
				// fail if they do not find everything.
				if len(hidden) == 0 || k.fault.Body != nil && len(hidden) < len(names) {
					return nil
				}
				return &k.fault
			}
		}
		return nil
	}
}

// hiddenKinds are what Hidden can hide: the parameters with the name in the create
// and the describe call, and the answer if it does not exist.
var hiddenKinds = []struct {
	kind, name, names string
	fault             Fault
}{
	{"TargetGroup", "Name", "Names.member.", Fault{Status: http.StatusBadRequest, Code: "TargetGroupNotFound"}},
	{"LaunchTemplate", "LaunchTemplateName", "LaunchTemplateName.", Fault{
		Status: http.StatusBadRequest, Code: "InvalidLaunchTemplateName.NotFoundException",
	}},
	{"AutoScalingGroup", "AutoScalingGroupName", "AutoScalingGroupNames.member.", Fault{Status: http.StatusOK, Body: []byte(
		`<DescribeAutoScalingGroupsResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/">` +
			`<DescribeAutoScalingGroupsResult><AutoScalingGroups/></DescribeAutoScalingGroupsResult>` +
			`<ResponseMetadata><RequestId>rig</RequestId></ResponseMetadata></DescribeAutoScalingGroupsResponse>`)}},
}

// names are the values of a list parameter, prefix.1, prefix.2 and so on.
func (c Call) names(prefix string) []string {
	var values []string
	for key, value := range c.Form {
		if strings.HasPrefix(key, prefix) && len(value) > 0 {
			values = append(values, value[0])
		}
	}
	return values
}
