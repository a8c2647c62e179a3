// Package tagging defines the tags of everything that this project creates. They
// show cost, owner and origin of every resource in the account.
package tagging

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The keys. The first five are those to activate as cost allocation tags.
const (
	Service     = "service"
	OwnerTeam   = "owner_team"
	Solution    = "solution"
	Environment = "environment"
	Version     = "version"
	// Revision is the SCM revision of the version.
	Revision = "revision"
	// Run is the pipe run that created the resource.
	Run = "run"
	// Cluster names the resource's cluster, as service/environment. Only resources
	// with this tag are ever changed or deleted.
	Cluster = "delivery:cluster"
	// Generation names the resource's generation of a cluster.
	Generation = "delivery:generation"
	// Rule names a further rule of a cluster.
	Rule = "delivery:rule"
)

// reserved are the keys that only this project sets.
var reserved = []string{Cluster, Generation, Rule}

// Required are the keys that every resource must have by default.
var Required = []string{Service, OwnerTeam, Solution, Environment}

// AWS's limits, https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html.
const (
	maxTags  = 50
	maxKey   = 128
	maxValue = 256
)

// Set is a set of tags.
type Set map[string]string

// Merge returns a new set, in which later sets override earlier ones.
func Merge(sets ...Set) Set {
	all := Set{}
	for _, s := range sets {
		maps.Copy(all, s)
	}
	return all
}

// NonEmpty returns a copy without the tags that have no value.
func (s Set) NonEmpty() Set {
	rest := maps.Clone(s)
	maps.DeleteFunc(rest, func(_, value string) bool { return value == "" })
	return rest
}

// Keys returns the sorted keys.
func (s Set) Keys() []string { return slices.Sorted(maps.Keys(s)) }

// Without returns a copy without the keys.
func (s Set) Without(keys ...string) Set {
	rest := maps.Clone(s)
	for _, key := range keys {
		delete(rest, key)
	}
	return rest
}

// Ignored selects tags by their keys: those that others put on what this project creates.
type Ignored struct {
	Keys        []string `json:"keys,omitempty"`
	KeyPrefixes []string `json:"key_prefixes,omitempty"`
}

// Matches reports whether a tag with the key is ignored.
func (i Ignored) Matches(key string) bool {
	return slices.Contains(i.Keys, key) ||
		slices.ContainsFunc(i.KeyPrefixes, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
}

// Validate refuses to ignore a tag that is set.
func (i Ignored) Validate(set Set) error {
	for _, key := range set.Keys() {
		if i.Matches(key) {
			return fmt.Errorf("tag %q is set and cannot be ignored: leave it out of ignore_tags, or do not set it", key)
		}
	}
	return nil
}

// WithoutIgnored returns a copy without the ignored tags.
func (s Set) WithoutIgnored(i Ignored) Set {
	rest := maps.Clone(s)
	maps.DeleteFunc(rest, func(key, _ string) bool { return i.Matches(key) })
	return rest
}

// Missing returns the sorted required keys that have no value.
func (s Set) Missing(required []string) []string {
	var missing []string
	for _, key := range required {
		if s[key] == "" {
			missing = append(missing, key)
		}
	}
	slices.Sort(missing)
	return missing
}

// ValidateOwn checks a user's tags: they must be valid, and have none of the keys
// that only this project sets.
func (s Set) ValidateOwn() error {
	for _, key := range reserved {
		if _, ok := s[key]; ok {
			return fmt.Errorf("tag %q is set by this provider and cannot be chosen", key)
		}
	}
	return s.Validate()
}

// Validate reports what AWS would refuse: more than 50 tags, keys of more than
// 128 or values of more than 256 characters, characters that not every service
// accepts, and the prefix "aws:".
func (s Set) Validate() error {
	if len(s) > maxTags {
		return fmt.Errorf("%d tags, but AWS allows at most %d on one resource", len(s), maxTags)
	}
	for _, key := range s.Keys() {
		value := s[key]
		switch {
		case key == "":
			return fmt.Errorf("a tag has an empty key (its value is %q)", value)
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			return fmt.Errorf("tag %q: the prefix \"aws:\" is reserved by AWS", key)
		case utf8.RuneCountInString(key) > maxKey:
			return fmt.Errorf("tag %q: the key has more than %d characters", key, maxKey)
		case utf8.RuneCountInString(value) > maxValue:
			return fmt.Errorf("tag %q: the value has more than %d characters", key, maxValue)
		}
		if i := strings.IndexFunc(key+value, unsupported); i >= 0 {
			return fmt.Errorf("tag %q with value %q: use letters, digits, spaces and _ . : / = + - @ only", key, value)
		}
	}
	return nil
}

// unsupported reports whether an AWS service refuses r in a tag.
func unsupported(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != ' ' && !strings.ContainsRune("_.:/=+-@", r)
}
