package expression_test

import (
	"strings"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/expression"
)

func TestLanguage_Unexpanded(t *testing.T) {
	for script, want := range map[string]string{
		`echo ${X}`:                            "",
		`echo "it's ${X}"`:                     "",
		`echo "a 'b ${X}'"`:                    "",
		`echo '${X}'`:                          "in single quotes",
		`sed 's/OLD/${X}/' file`:               "in single quotes",
		`echo "a"'b ${X}'"c"`:                  "in single quotes",
		`echo "$(echo '${X}')"`:                "in single quotes",
		"echo `echo '${X}'`":                   "in single quotes",
		`echo "${Y:-'${X}'}"`:                  "",
		"cat <<END\n${Y:-'${X}'}\nEND":         "",
		`echo ${Y:-'${X}'}`:                    "in single quotes",
		`echo $'${X}\n'`:                       "in single quotes",
		`echo \${X}`:                           "after a backslash",
		`echo "\${X}"`:                         "after a backslash",
		`echo \\${X}`:                          "",
		`echo $((${X} + 1))`:                   "",
		"# it's ${X}\necho":                    "",
		`echo a#'${X}'`:                        "in single quotes",
		"cat <<END\nit's ${X}\nEND":            "",
		"cat <<'END'\n${X}\nEND":               "in a here-document whose delimiter is in quotes",
		"cat <<\\END\n${X}\nEND":               "in a here-document whose delimiter is in quotes",
		"cat <<-\"END\"\n\t${X}\n\tEND\n":      "in a here-document whose delimiter is in quotes",
		"cat <<END\n\\${X}\nEND":               "after a backslash",
		"cat <<'END' >f\n${X}\nEND\necho ${Y}": "in a here-document whose delimiter is in quotes",
		"echo '${X}' ${X}":                     "in single quotes",
		"case ${X} in 'a') echo;; esac":        "",
		"f() { echo '${X}'; }":                 "in single quotes",
		"[[ ${X} == a ]] && a=('${X}')":        "in single quotes",
		`if a; then b '${X}'; fi`:              "in single quotes",
		// What another shell expands, in the same environment.
		`sh -c 'echo ${X}'`:                   "",
		`timeout 5 /bin/bash -ec 'echo ${X}'`: "",
		`eval 'echo ${X}'`:                    "",
		`trap 'rm -rf ${X}' EXIT`:             "",
		"bash <<'END'\necho ${X}\nEND":        "",
		`find . -exec sh -c 'echo ${X}' \;`:   "",
		`ssh host 'echo ${X}'`:                "in single quotes",
		`docker run image sh -c 'echo ${X}'`:  "in single quotes",
		`echo sh '${X}'`:                      "in single quotes",
		// What no shell understands is left to the shell.
		`echo '${X}`: "", "if '${X}'": "",
	} {
		var references []int
		for i := range script {
			if strings.HasPrefix(script[i:], "${X}") {
				references = append(references, i)
			}
		}
		got := ""
		for _, reason := range (expression.Language{}).Unexpanded(script, references) {
			got += reason
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", script, got, want)
		}
	}
}

// No script makes the parser stop the program.
func FuzzUnexpanded(f *testing.F) {
	for _, seed := range []string{
		"echo '${X}' ${X}", "cat <<'END'\n${X}\nEND\n", "$(`${X}`)", "\"$((${X}))\"", "case ${X} in\n${X}) ;;\nesac # ${X}", "a=(${X} '${X}')",
		strings.Repeat("$(", 500) + "${X}", strings.Repeat("((", 500) + "${X}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, script string) {
		var references []int
		for i := range script {
			if strings.HasPrefix(script[i:], "${X}") {
				references = append(references, i)
			}
		}
		for offset := range (expression.Language{}).Unexpanded(script, references) {
			if !strings.HasPrefix(script[offset:], "${X}") {
				t.Errorf("%q: there is no reference at %d", script, offset)
			}
		}
	})
}
