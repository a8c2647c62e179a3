package cluster

import (
	"regexp"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// Generation identifies the servers of one version in a cluster: a launch
// template, an Auto Scaling group and, behind a load balancer, a target group.
// All of these parts have the generation's name. The name is chosen before the
// first part is created, and is enough to find them all again.
type Generation struct {
	Cluster ID
	Name    string
}

// maxName is the limit of a target group's name, the shortest among the parts.
// A target group also allows letters, digits and hyphens only,
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html.
const maxName = 32

// suffixLength is the length of the random suffix of a generation's name.
const suffixLength = 8

var notInNames = regexp.MustCompile(`[^A-Za-z0-9]+`)

// NewGeneration names a generation. Entropy holds random bytes.
func NewGeneration(id ID, entropy [suffixLength]byte) Generation {
	stem := notInNames.ReplaceAllString(id.Service+"-"+id.Environment, "-")
	stem = strings.Trim(stem[:min(len(stem), maxName-1-suffixLength)], "-")
	return Generation{Cluster: id, Name: stem + "-" + Suffix(entropy)}
}

// suffixAlphabet has no vowels, so that no words come about.
const suffixAlphabet = "bcdfghjklmnpqrstvwxyz0123456789"

// Suffix turns random bytes into eight letters and digits, for names that have
// to be unique and readable.
func Suffix(entropy [suffixLength]byte) string {
	suffix := make([]byte, suffixLength)
	for i, b := range entropy {
		suffix[i] = suffixAlphabet[int(b)%len(suffixAlphabet)]
	}
	return string(suffix)
}

// IsSuffix reports whether Suffix can have returned s.
func IsSuffix(s string) bool {
	return len(s) == suffixLength && strings.Trim(s, suffixAlphabet) == ""
}

// Tags returns tags together with those that identify the generation.
func (g Generation) Tags(tags tagging.Set) tagging.Set {
	return tagging.Merge(tagging.Set{"Name": g.Name}, tags, tagging.Set{
		tagging.Cluster:    g.Cluster.String(),
		tagging.Generation: g.Name,
	})
}
