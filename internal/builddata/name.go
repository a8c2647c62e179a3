package builddata

import (
	"fmt"
	"regexp"
)

// NameRule describes valid names, for errors and schema descriptions.
const NameRule = "1 to 64 letters, digits, dots, underscores and hyphens, beginning with a letter or digit"

// namePattern keeps a name usable in AWS tags, resource names and ids of the
// form service/environment.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// ValidateName checks the name of a service, an environment or a stage, or the ID of a run,
// against NameRule. The kind says which of these it is, for the error. A valid name is an
// element of a path: it has no separators, and is neither . nor ...
func ValidateName(kind, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("the %s is missing", kind)
	case !namePattern.MatchString(name):
		return fmt.Errorf("invalid %s %q: use %s", kind, name, NameRule)
	}
	return nil
}

// ValidateRun checks the ID of a run. It is an element of the paths of the run's files, so
// every function that makes such a path calls it.
func ValidateRun(id string) error { return ValidateName("run ID", id) }

// ValidateService checks the name of a service.
func ValidateService(name string) error { return ValidateName("service", name) }
