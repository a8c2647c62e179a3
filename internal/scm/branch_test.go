package scm_test

import (
	"os"
	"strings"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/scm"
)

const (
	built = "1234567890123456789012345678901234567890"
	other = "abcdef7890123456789012345678901234567890"
)

// A pull request into main, or from a branch of a fork that is named main, is never main.
func TestCheckout_BranchIn(t *testing.T) {
	for name, tt := range map[string]struct {
		environ string
		want    string
	}{
		"Nothing":            {"", ""},
		"GitHubPush":         {"GITHUB_SHA=" + built + " GITHUB_REF=refs/heads/main GITHUB_REF_NAME=main", "main"},
		"GitHubSlash":        {"GITHUB_SHA=" + built + " GITHUB_REF=refs/heads/feature/x", "feature/x"},
		"GitHubTag":          {"GITHUB_SHA=" + built + " GITHUB_REF=refs/tags/main GITHUB_REF_NAME=main", ""},
		"GitHubPull":         {"GITHUB_SHA=" + built + " GITHUB_REF=refs/pull/7/merge GITHUB_HEAD_REF=main GITHUB_BASE_REF=main", ""},
		"GitHubPullTarget":   {"GITHUB_SHA=" + built + " GITHUB_REF=refs/heads/main GITHUB_HEAD_REF=main GITHUB_BASE_REF=main", ""},
		"GitHubOtherCommit":  {"GITHUB_SHA=" + other + " GITHUB_REF=refs/heads/main", ""},
		"GitLabBranch":       {"CI_COMMIT_SHA=" + built + " CI_COMMIT_BRANCH=main CI_COMMIT_REF_NAME=main", "main"},
		"GitLabMerge":        {"CI_COMMIT_SHA=" + built + " CI_MERGE_REQUEST_IID=3 CI_COMMIT_REF_NAME=main CI_COMMIT_BRANCH=main", ""},
		"GitLabTag":          {"CI_COMMIT_SHA=" + built + " CI_COMMIT_TAG=main CI_COMMIT_REF_NAME=main", ""},
		"JenkinsMultibranch": {"GIT_COMMIT=" + built + " BRANCH_NAME=main GIT_BRANCH=main", "main"},
		"JenkinsPull":        {"GIT_COMMIT=" + built + " BRANCH_NAME=PR-12 CHANGE_ID=12 CHANGE_TARGET=main GIT_BRANCH=PR-12", ""},
		"JenkinsOrigin":      {"GIT_COMMIT=" + built + " GIT_BRANCH=origin/main", "main"},
		"JenkinsRemote":      {"GIT_COMMIT=" + built + " GIT_BRANCH=fork/main", "fork/main"},
		"JenkinsDetached":    {"GIT_COMMIT=" + built + " GIT_BRANCH=detached", ""},
		"JenkinsTag":         {"GIT_COMMIT=" + built + " BRANCH_NAME=main TAG_NAME=main", ""},
		"JenkinsNoCommit":    {"BRANCH_NAME=main", ""},
		"Buildkite":          {"BUILDKITE_COMMIT=" + built + " BUILDKITE_BRANCH=main BUILDKITE_PULL_REQUEST=false BUILDKITE_TAG=", "main"},
		"BuildkitePull":      {"BUILDKITE_COMMIT=" + built + " BUILDKITE_BRANCH=main BUILDKITE_PULL_REQUEST=7", ""},
		"BuildkiteTag":       {"BUILDKITE_COMMIT=" + built + " BUILDKITE_BRANCH=main BUILDKITE_PULL_REQUEST=false BUILDKITE_TAG=main", ""},
		"Azure":              {"BUILD_SOURCEVERSION=" + built + " BUILD_SOURCEBRANCH=refs/heads/main BUILD_SOURCEBRANCHNAME=main", "main"},
		"AzurePull":          {"BUILD_SOURCEVERSION=" + built + " BUILD_SOURCEBRANCH=refs/pull/1/merge BUILD_SOURCEBRANCHNAME=main", ""},
		"AzureTag":           {"BUILD_SOURCEVERSION=" + built + " BUILD_SOURCEBRANCH=refs/tags/main", ""},
		"Bitbucket":          {"BITBUCKET_COMMIT=" + built[:12] + " BITBUCKET_BRANCH=main", "main"},
		"BitbucketPull":      {"BITBUCKET_COMMIT=" + built + " BITBUCKET_BRANCH=main BITBUCKET_PR_ID=4 BITBUCKET_PR_DESTINATION_BRANCH=main", ""},
		"InOrder":            {"GITHUB_SHA=" + built + " GITHUB_REF=refs/heads/one CI_COMMIT_SHA=" + built + " CI_COMMIT_BRANCH=two", "one"},
		"NextOne":            {"GITHUB_SHA=" + other + " GITHUB_REF=refs/heads/one CI_COMMIT_SHA=" + built + " CI_COMMIT_BRANCH=two", "two"},
	} {
		environ := strings.Fields(tt.environ)
		if got := (scm.Checkout{Revision: built}).BranchIn(environ); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
	checkedOut := scm.Checkout{Revision: built, Branch: "main"}
	for environ, want := range map[string]string{
		"": "main", "GITHUB_SHA=" + other + " GITHUB_REF=refs/heads/next": "main", "GITHUB_SHA=" + other + " GITHUB_HEAD_REF=main": "",
		"TAG_NAME=x": "main",
	} {
		if got := checkedOut.BranchIn(strings.Fields(environ)); got != want {
			t.Errorf("%q: got %q with a branch that is checked out, want %q", environ, got, want)
		}
	}
}

// A real checkout of a commit, as CI systems make it.
func TestCheckout_BranchInDetached(t *testing.T) {
	_, clone := origin(t)
	git(t, clone, "checkout", "--quiet", "--detach")
	c, err := scm.Inspect(t.Context(), clone, os.Environ(), scm.Network{})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.BranchIn([]string{"CI_COMMIT_SHA=" + c.Revision, "CI_COMMIT_BRANCH=main"}); got != "main" || c.Branch != "" {
		t.Errorf("got %q, and %q of git", got, c.Branch)
	}
}
