package pipefile

import (
	"cmp"
	"regexp"
	"strings"
)

// template is what a .delivery.yml looks like at first.
const template = `# What "delivery" knows of this repository. Every key beside the first ones is
# a value that steps of the pipe can use: ${{ jdk }} is JDK21 after jdk: JDK21.

# Which pipe builds it: a file in pipes/, one of a library, or a ready-made one:
#   ci           builds and runs the unit tests
#   cd           builds, bakes an image, tests it in a fresh environment, promotes
#   cd-parallel  as cd, with functional and load tests at the same time
pipe: PIPE

# What is built and deployed here, on its own.
service: SERVICE

# Who answers for it, and what its cost belongs to.
# owner_team: fruit
# solution: shop

# What the ready-made pipes run, and what they run if nothing is said:
# build: make build
# test: make test
# test_reports: reports/*.xml
# packer_folder: packer
# environment_folder: environment
# functional_tests: make functional-tests
# load_tests: make load-tests

# How versions are named: sequence (17), semver (1.4.0) or calver (2026.11.3).
# version_scheme: sequence

# Pipes that several repositories share: a folder, or a git repository.
# library: https://git.example.com/pipes.git#v3

# Environment variables, and values, that are never shown.
# secrets: [NEXUS_PASSWORD]
`

// Template returns a .delivery.yml for a service, with a comment on what else
// can be there. No pipe means ci.
func Template(service, pipe string) []byte {
	return []byte(strings.NewReplacer("PIPE", quoted(cmp.Or(pipe, "ci")), "SERVICE", quoted(service)).Replace(template))
}

// plainText is what YAML takes for the text that it is without quotes.
var plainText = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./-]*$`)

// quoted writes a text so that YAML reads the same.
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
