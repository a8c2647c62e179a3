package cluster

import (
	"regexp"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// Generation is the servers of one version in a cluster: a launch template, an
// Auto Scaling group and, behind a load balancer, a target group. All of them
// bear the generation's name, so that they can be found again by nothing else:
// the name is known before the first of them is made.
type Generation struct {
	Cluster ID
	Name    string
}

// maxName is the shortest limit among the things that bear the name: that of a
// target group, which also allows letters, digits and hyphens only,
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html.
const maxName = 32

// suffixLength is how many characters make a generation's name unique.
const suffixLength = 8

var notInNames = regexp.MustCompile(`[^A-Za-z0-9]+`)

// NewGeneration names a generation. Entropy must hold at least 8 random bytes.
func NewGeneration(id ID, entropy [suffixLength]byte) Generation {
	stem := notInNames.ReplaceAllString(id.Service+"-"+id.Environment, "-")
	stem = strings.Trim(stem[:min(len(stem), maxName-1-suffixLength)], "-")
	return Generation{Cluster: id, Name: stem + "-" + Suffix(entropy)}
}

// Suffix makes eight letters and digits of random bytes, for names that have
// to be unique and readable.
func Suffix(entropy [suffixLength]byte) string {
	const letters = "bcdfghjklmnpqrstvwxyz0123456789" // no vowels, so no words
	suffix := make([]byte, suffixLength)
	for i, b := range entropy {
		suffix[i] = letters[int(b)%len(letters)]
	}
	return string(suffix)
}

// Tags returns tags with the ones added by which the generation is known.
func (g Generation) Tags(tags tagging.Set) tagging.Set {
	return tagging.Merge(tagging.Set{"Name": g.Name}, tags, tagging.Set{
		tagging.Cluster:    g.Cluster.String(),
		tagging.Generation: g.Name,
	})
}
