package awscloud

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The policy in the README allows what the code calls, and nothing else but
// what AWS asks for in turn.
func TestReadmePolicy(t *testing.T) {
	inTurn := []string{"cloudwatch:TagResource", "ec2:RunInstances", "iam:PassRole", "iam:CreateServiceLinkedRole"}

	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	prefixes := map[string]string{
		"ec2": "ec2", "client": "ec2", "autoscaling": "autoscaling", "elb": "elasticloadbalancing", "cloudwatch": "cloudwatch", "objects": "s3",
		"logs": "logs",
	}
	call := regexp.MustCompile(`\b(?:c\.)?(ec2|autoscaling|elb|cloudwatch|client|objects|logs)\.` +
		`(?:New)?([A-Z][A-Za-z]+?)(?:Paginator)?\((?:ctx|c\.)`)
	called := append([]string{}, inTurn...)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range call.FindAllStringSubmatch(string(source), -1) {
			called = append(called, prefixes[match[1]]+":"+match[2])
		}
	}

	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(readme)
	if block == nil {
		t.Fatal("the README shows no policy")
	}
	var policy struct {
		Statement []struct{ Action any }
	}
	if err := json.Unmarshal(block[1], &policy); err != nil {
		t.Fatal(err)
	}
	var allowed []string
	for _, statement := range policy.Statement {
		switch action := statement.Action.(type) {
		case string:
			allowed = append(allowed, action)
		case []any:
			for _, one := range action {
				allowed = append(allowed, one.(string)) //nolint:forcetypeassert // or the test fails, rightly
			}
		}
	}
	slices.Sort(called)
	slices.Sort(allowed)
	if diff := cmp.Diff(slices.Compact(called), allowed); diff != "" {
		t.Errorf("what is called (-) differs from what the policy allows (+):\n%s", diff)
	}
}
