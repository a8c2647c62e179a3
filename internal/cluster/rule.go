package cluster

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
)

// Rule selects requests. A request must match every kind of condition that is given, every
// header and every query string. Of the values of one condition, it must match one.
type Rule struct {
	// Priority is 1 to 50000 and unique in the listener. 0 is any: the cluster's rule at the
	// listener keeps the one that it has, and a new rule gets a free one.
	Priority int32    `json:"priority"`
	Hosts    []string `json:"hosts,omitempty"`
	Paths    []string `json:"paths,omitempty"`
	Headers  []Header `json:"headers,omitempty"`
	// Methods are HTTP methods.
	Methods      []string      `json:"methods,omitempty"`
	QueryStrings []QueryString `json:"query_strings,omitempty"`
	// SourceIPs are CIDR blocks.
	SourceIPs []string `json:"source_ips,omitempty"`
}

// Header is a condition on an HTTP header. Its values may be secret.
type Header struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

// String leaves the values out.
func (h Header) String() string { return h.Name }

// QueryString is a condition on the query string. Without a key, the values are searched
// among those of all keys. They may be secret.
type QueryString struct {
	Key    string   `json:"key,omitempty"`
	Values []string `json:"values"`
}

// String leaves the values out.
func (q QueryString) String() string { return q.Key }

// SelectsSame reports whether both rules select the same requests. No order matters.
func (r Rule) SelectsSame(other Rule) bool {
	r, other = r.sorted(), other.sorted()
	r.Priority = other.Priority
	return reflect.DeepEqual(r, other)
}

// sorted returns a copy in which everything is sorted.
func (r Rule) sorted() Rule {
	for _, values := range []*[]string{&r.Hosts, &r.Paths, &r.Methods, &r.SourceIPs} {
		*values = sorted(*values)
	}
	var headers []Header
	for _, h := range r.Headers {
		headers = append(headers, Header{h.Name, sorted(h.Values)})
	}
	slices.SortFunc(headers, func(a, b Header) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), slices.Compare(a.Values, b.Values))
	})
	var queries []QueryString
	for _, q := range r.QueryStrings {
		queries = append(queries, QueryString{q.Key, sorted(q.Values)})
	}
	slices.SortFunc(queries, func(a, b QueryString) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), slices.Compare(a.Values, b.Values))
	})
	r.Headers, r.QueryStrings = headers, queries
	return r
}

func sorted(all []string) []string { return slices.Sorted(slices.Values(all)) }
