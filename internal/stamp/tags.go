package stamp

import (
	"fmt"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/tagging"
)

// RequiredTags are those of tagging.Required that apply to an image, which
// may run in any environment.
var RequiredTags = []string{tagging.OwnerTeam, tagging.Service, tagging.Solution}

// ownKeys are the keys that stamping sets.
var ownKeys = []string{tagging.Service, tagging.Version, tagging.Revision, tagging.OwnerTeam, tagging.Solution, tagging.Run}

// ValidateTags checks a caller's own tags.
func ValidateTags(tags tagging.Set) error {
	for _, key := range ownKeys {
		if _, ok := tags[key]; ok {
			return fmt.Errorf("tag %q is set by stamping itself and cannot be among the tags of your own", key)
		}
	}
	return tags.ValidateOwn()
}

// tags returns all the tags that the images are to carry.
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
