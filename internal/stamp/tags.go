package stamp

import (
	"fmt"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// RequiredTags are the tags of tagging.Required without the environment: an image
// may run in any.
var RequiredTags = []string{tagging.OwnerTeam, tagging.Service, tagging.Solution}

// ownKeys are the keys that stamping sets.
var ownKeys = []string{tagging.Service, tagging.Version, tagging.Revision, tagging.OwnerTeam, tagging.Solution, tagging.Run}

// ValidateTags checks a caller's own tags.
func ValidateTags(tags tagging.Set) error {
	for _, key := range ownKeys {
		if _, ok := tags[key]; ok {
			return fmt.Errorf("tag %q is set by the stamp and cannot be among your own tags", key)
		}
	}
	return tags.ValidateOwn()
}

// tags returns all the tags of the images.
func (r Request) tags(version builddata.Version) (tagging.Set, error) {
	if err := ValidateTags(r.Tags); err != nil {
		return nil, err
	}
	all := tagging.Merge(r.Tags, VersionTags(version, r.OwnerTeam, r.Solution, r.Run))
	if missing := all.Missing(RequiredTags); len(missing) > 0 {
		return nil, fmt.Errorf("required tags are missing: %s", strings.Join(missing, ", "))
	}
	return all, all.Validate()
}

// VersionTags returns the tags of what is baked for a version, and of what is
// launched to bake it. Without a run, its tag is empty.
func VersionTags(v builddata.Version, ownerTeam, solution, run string) tagging.Set {
	return tagging.Set{
		tagging.Service:   v.Service,
		tagging.Version:   v.Name,
		tagging.Revision:  v.SourceRevision,
		tagging.OwnerTeam: ownerTeam,
		tagging.Solution:  solution,
		tagging.Run:       run,
	}
}
