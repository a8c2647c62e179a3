package pipefile

import (
	"cmp"
	"regexp"
	"strings"
)

// template is the content of a new .delivery.yml.
const template = `# The configuration of "delivery" for this git repository. All other keys are
# values for the steps of the pipe: ${{ jdk }} is JDK21 after jdk: JDK21.

# The pipe: a file in pipes/, one of a library, or a built-in one:
#   ci           builds and runs the unit tests
#   cd           builds, bakes an image, tests it in a fresh environment, promotes
#   cd-parallel  as cd, with functional and load tests at the same time
#   release      takes a version to QA and production: delivery run --pipe release --version 17
pipe: PIPE

# The service that is built and deployed from here.
service: SERVICE

# The team that owns it, and the solution that its cost is counted for.
# owner_team: fruit
# solution: shop

# What the built-in pipes run, with the defaults:
# build: make build
# test: make test
# packer_folder: packer
# environment_folder: environment
# functional_tests: make functional-tests
# load_tests: make load-tests
# qa_folder: qa
# prod_folder: prod

# The CloudWatch alarms by which release verifies what it has deployed.
# qa_alarm: strawberry-qa
# prod_alarm: strawberry-prod

# The JUnit XML files that the unit tests write. There is no default: without them, only the
# exit code counts.
# test_reports: reports/*.xml

# How versions are named: sequence (17), semver (1.4.0) or calver (2026.11.3).
# version_scheme: sequence

# Pipes that several projects share: a folder, or a git repository.
# library: https://git.example.com/pipes.git#v3

# Environment variables and values whose content is never shown.
# secrets: [NEXUS_PASSWORD]
`

// Template returns a .delivery.yml for a service, with comments on the other keys.
// An empty pipe means ci.
func Template(service, pipe string) []byte {
	return []byte(strings.NewReplacer("PIPE", quoted(cmp.Or(pipe, "ci")), "SERVICE", quoted(service)).Replace(template))
}

// plainText matches texts that YAML needs no quotes for.
var plainText = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./-]*$`)

// quoted quotes a text for YAML where necessary.
func quoted(text string) string {
	switch strings.ToLower(text) {
	case "true", "false", "yes", "no", "on", "off", "null", "y", "n":
	default:
		if plainText.MatchString(text) {
			return text
		}
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}
