package cluster

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Difference is an attribute in which servers differ from those that were tested.
type Difference struct {
	// Attribute is Terraform's name of the attribute: "target.port".
	Attribute string `json:"attribute"`
	// Detail describes the difference. Texts that may hold a secret are not in it.
	Detail string `json:"detail"`
}

func (d Difference) String() string { return d.Attribute + ": " + d.Detail }

// Differences lists in which attributes s specifies another kind of server than
// tested. What names the place of the servers differs between any two environments,
// and is left out: subnets, security groups, listener, listener rules, sizes, tags, and what is
// attached to the group.
// In texts, each specification may have the name of its own environment where the
// other one has its own.
func (s Spec) Differences(tested Spec) []Difference {
	c := comparison{tested: tested.Environment, now: s.Environment}
	c.values("image_id", tested.ImageID, s.ImageID)
	c.servers(tested.Servers, s.Servers)
	c.targets(tested.Target, s.Target)
	return c.found
}

// comparison collects differences. Tested and now are the names of the environments.
type comparison struct {
	tested, now string
	found       []Difference
}

func (c *comparison) add(attribute, format string, args ...any) {
	c.found = append(c.found, Difference{Attribute: attribute, Detail: fmt.Sprintf(format, args...)})
}

// values compares values that are shown.
func (c *comparison) values(attribute, tested, now string) {
	if tested != now {
		c.add(attribute, "%s when tested, %s now", cmp.Or(tested, "none"), cmp.Or(now, "none"))
	}
}

// servers compares servers. A launch template replaces all other arguments but the
// metadata service's.
func (c *comparison) servers(tested, now Servers) {
	if tested.Template != nil || now.Template != nil {
		c.templates(tested.Template, now.Template)
	} else {
		c.values("instance_type", tested.InstanceType, now.InstanceType)
		if !c.same(tested.InstanceProfile, now.InstanceProfile) {
			c.values("iam_instance_profile", tested.InstanceProfile, now.InstanceProfile)
		}
		if tested.UserDataBase64 != now.UserDataBase64 {
			c.add("user_data_base64", "differs")
		} else {
			c.userData(tested.UserData, now.UserData)
		}
		c.values("root_volume_size", gibibytes(tested.RootVolumeSize), gibibytes(now.RootVolumeSize))
	}
	c.launch(tested, now)
	c.values("metadata_http_tokens", tokens(tested.OptionalTokens), tokens(now.OptionalTokens))
}

func gibibytes(size int32) string {
	if size == 0 {
		return "the image's"
	}
	return fmt.Sprintf("%d GiB", size)
}

func tokens(optional bool) string {
	if optional {
		return "optional"
	}
	return "required"
}

// templates compares launch templates. If it is not on record what "$Latest" or
// "$Default" was, the versions count as different.
func (c *comparison) templates(tested, now *Template) {
	c.values("launch_template", tested.describe(), now.describe())
	if tested.describe() == now.describe() && tested.number() == 0 {
		c.add("launch_template", "%s may be another one now than when tested, because its number is not on record", now.describe())
	}
}

// number is the number of the version; 0 if it is not known.
func (t *Template) number() int64 {
	if t.Number != 0 {
		return t.Number
	}
	number, err := strconv.ParseInt(t.Version, 10, 64)
	if err != nil {
		return 0 // $Latest or $Default
	}
	return number
}

// describe is empty for no template.
func (t *Template) describe() string {
	switch {
	case t == nil:
		return ""
	case t.number() == 0:
		return fmt.Sprintf("version %s of %s", t.Version, t.ID)
	}
	return fmt.Sprintf("version %d of %s", t.number(), t.ID)
}

// userData compares user data by lines, and shows none of it.
func (c *comparison) userData(tested, now string) {
	was, is := strings.Split(tested, "\n"), strings.Split(now, "\n")
	var lines []string
	for i := range min(len(was), len(is)) {
		if !c.same(was[i], is[i]) {
			lines = append(lines, strconv.Itoa(i+1))
		}
	}
	switch {
	case tested == "" && now != "":
		c.add("user_data", "none when tested, set now")
	case tested != "" && now == "":
		c.add("user_data", "set when tested, none now")
	case len(was) != len(is):
		first := cmp.Or(append(lines, "")[0], strconv.Itoa(min(len(was), len(is))+1))
		c.add("user_data", "differs from line %s on (%d lines when tested, %d now)", first, len(was), len(is))
	case len(lines) == 1:
		c.add("user_data", "differs (line %s)", lines[0])
	case len(lines) > 1:
		c.add("user_data", "differs (lines %s)", clip(lines, ", ", " and"))
	}
}

// targets compares how requests reach the servers.
func (c *comparison) targets(tested, now *Target) {
	switch {
	case tested == nil && now == nil:
		return
	case tested == nil:
		c.add("target", "none when tested, set now")
		return
	case now == nil:
		c.add("target", "set when tested, none now")
		return
	}
	c.values("target.port", fmt.Sprint(tested.Port), fmt.Sprint(now.Port))
	c.values("target.protocol", tested.Protocol, now.Protocol)
	if !c.same(tested.Health.Path, now.Health.Path) {
		c.add("target.health_check.path", "differs") // its query may hold a token
	}
	c.values("target.health_check.port", healthPort(tested.Health), healthPort(now.Health))
	c.values("target.health_check.protocol", cmp.Or(tested.Health.Protocol, ofTarget), cmp.Or(now.Health.Protocol, ofTarget))
	c.values("target.health_check.matcher", tested.Health.Matcher, now.Health.Matcher)
	c.values("target.health_check.interval", tested.Health.Interval.String(), now.Health.Interval.String())
	c.values("target.health_check.timeout", tested.Health.Timeout.String(), now.Health.Timeout.String())
	c.values("target.health_check.healthy_threshold", fmt.Sprint(tested.Health.HealthyThreshold), fmt.Sprint(now.Health.HealthyThreshold))
	c.values("target.health_check.unhealthy_threshold",
		fmt.Sprint(tested.Health.UnhealthyThreshold), fmt.Sprint(now.Health.UnhealthyThreshold))
	c.values("target.health_check.grace_period", tested.Health.GracePeriod.String(), now.Health.GracePeriod.String())
	c.values("target.deregistration_delay", tested.DeregistrationDelay.String(), now.DeregistrationDelay.String())
	c.values("target.stickiness", tested.Stickiness.String(), now.Stickiness.String())
}

// ofTarget is a port or protocol of a health check that is not its own.
const ofTarget = "the target's"

func healthPort(h HealthCheck) string {
	if h.Port == 0 {
		return ofTarget
	}
	return fmt.Sprint(h.Port)
}

// same reports whether two texts are equal, where the name of the tested environment
// may also be the name of the one now. It follows every way to read the second text
// at once, because one name may begin with the other.
func (c *comparison) same(tested, now string) bool {
	ends := map[int]bool{0: true}
	for i, part := range splitWord(tested, c.tested) {
		next := map[int]bool{}
		for end := range ends {
			names := []string{c.tested, c.now}
			if i == 0 {
				names = []string{""}
			}
			for _, name := range names {
				if strings.HasPrefix(now[end:], name+part) {
					next[end+len(name+part)] = true
				}
			}
		}
		ends = next
	}
	return ends[len(now)]
}

// splitWord splits a text at every place where a word stands as a whole, not as a
// part of another word.
func splitWord(text, word string) (parts []string) {
	begin := 0
	for at := 0; ; {
		i := strings.Index(text[at:], word)
		if i < 0 || word == "" {
			return append(parts, text[begin:])
		}
		i += at
		before, _ := utf8.DecodeLastRuneInString(text[:i])
		after, _ := utf8.DecodeRuneInString(text[i+len(word):])
		if inWord(before) || inWord(after) {
			at = i + 1
			continue
		}
		parts = append(parts, text[begin:i])
		at = i + len(word)
		begin = at
	}
}

func inWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
