package scm

import "strings"

// system is a CI system that checks out a commit without a branch, and names the branch in
// environment variables.
type system struct {
	// commit is the variable with the commit that is built.
	commit string
	// changes are variables that are set for a pull or merge request, and tag that for a tag.
	changes []string
	tag     string
	// branches are variables with the branch; the first one that is set counts. What precedes
	// the name is removed; without it the variable names no branch, unless optional.
	branches []string
	prefix   string
	optional bool
}

// systems are the known CI systems, in the order in which they are asked.
var systems = []system{
	{commit: "GITHUB_SHA", changes: []string{"GITHUB_HEAD_REF"}, branches: []string{"GITHUB_REF"}, prefix: "refs/heads/"},
	{
		commit: "CI_COMMIT_SHA", changes: []string{"CI_MERGE_REQUEST_IID", "CI_EXTERNAL_PULL_REQUEST_IID"}, tag: "CI_COMMIT_TAG",
		branches: []string{"CI_COMMIT_BRANCH"},
	},
	{
		commit: "GIT_COMMIT", changes: []string{"CHANGE_ID", "ghprbPullId", "gitlabMergeRequestIid"}, tag: "TAG_NAME",
		branches: []string{"BRANCH_NAME", "GIT_BRANCH"}, prefix: "origin/", optional: true,
	},
	{commit: "BUILDKITE_COMMIT", changes: []string{"BUILDKITE_PULL_REQUEST"}, tag: "BUILDKITE_TAG", branches: []string{"BUILDKITE_BRANCH"}},
	{
		commit: "BUILD_SOURCEVERSION", changes: []string{"SYSTEM_PULLREQUEST_PULLREQUESTID"},
		branches: []string{"BUILD_SOURCEBRANCH"}, prefix: "refs/heads/",
	},
	{commit: "BITBUCKET_COMMIT", changes: []string{"BITBUCKET_PR_ID"}, tag: "BITBUCKET_TAG", branches: []string{"BITBUCKET_BRANCH"}},
}

// BranchIn returns the branch that is built in an environment: the one that is checked out, or
// else the one that a CI system names for the very commit that is checked out. It is empty for
// a pull request: the branch of a fork may have any name, main for example.
func (c Checkout) BranchIn(environ []string) string {
	variables := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		variables[name] = value
	}
	branch := c.Branch
	for _, s := range systems {
		for _, name := range s.changes {
			if value := variables[name]; value != "" && value != "false" {
				return ""
			}
		}
		commit := variables[s.commit]
		if branch == "" && len(commit) >= minCommit && strings.HasPrefix(c.Revision, commit) {
			branch = s.branch(variables)
		}
	}
	return branch
}

// minCommit is the minimum length of an abbreviated commit.
const minCommit = 7

// branch returns the branch that the CI system names; empty if there is none.
func (s system) branch(variables map[string]string) string {
	if variables[s.tag] != "" {
		return ""
	}
	for _, name := range s.branches {
		value := variables[name]
		if value == "" {
			continue
		}
		branch, found := strings.CutPrefix(value, s.prefix)
		if !found && !s.optional || branch == "HEAD" || branch == "detached" {
			return ""
		}
		return branch
	}
	return ""
}
