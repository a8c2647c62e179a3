package app

import (
	"regexp"
	"strings"
)

// plainWord is one that no shell takes for anything else.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9._/:-][A-Za-z0-9._/:=@%+,-]*$`)

// Quoted is a word for the shell, in a command that is told to people.
func Quoted(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
