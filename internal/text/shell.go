package text

import (
	"regexp"
	"strings"
)

// plainWord is a word that has no special meaning for any shell.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9._/:-][A-Za-z0-9._/:=@%+,-]*$`)

// ShellWord quotes a word for the shell if necessary, in a command that people
// are to run.
func ShellWord(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
