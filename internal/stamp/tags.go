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
	all := tagging.Merge(r.Tags, tagging.Set{
		tagging.Service:   version.Service,
		tagging.Version:   version.Name,
		tagging.Revision:  version.SourceRevision,
		tagging.OwnerTeam: r.OwnerTeam,
		tagging.Solution:  r.Solution,
		tagging.Run:       r.Run,
	})
	if missing := all.Missing(RequiredTags); len(missing) > 0 {
		return nil, fmt.Errorf("required tags are missing: %s", strings.Join(missing, ", "))
	}
	return all, all.Validate()
}
