package pipe

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Words of names, in upper case. The guide "Pipes" explains the rule.
var (
	// secretWords make a name secret wherever they are in it: DB_PASS, TF_TOKEN_x.
	secretWords = strings.Fields(`APIKEY APPKEY AUTHKEY ACCESSKEY AUTHORIZATION BEARER CRED CREDENTIAL CREDENTIALS CREDS DBPASS JWT PASS
		PASSPHRASE PASSPHRASES PASSWD PASSWORD PASSWORDS PAT PRIVATEKEY PWD SECRET SECRETKEY SECRETS SSHKEY SSHPASS
		TOKEN TOKENS WEBHOOK WEBHOOKS`)
	// secretEndings make a word secret that ends in one: PGPASSWORD, authtoken.
	secretEndings = strings.Fields(`PASSWORD PASSWD PASSPHRASE TOKEN SECRET`)
	// lastWords make a name secret as its last word, apart from formWords.
	lastWords = strings.Fields(`AUTH DSN`)
	// formWords say in which form the secret is.
	formWords = strings.Fields(`B64 BASE BASE64 CONFIG CONTENT CONTENTS DATA ENCODED HEADER JSON NEW OLD PEM RAW STRING TEXT VALUE YAML`)
	// attributeWords say, as the last one, that a value is not the secret itself.
	attributeWords = strings.Fields(`ALG ALGORITHM AUDIENCE COUNT DIR DIRECTORY DISABLED DOMAIN EMAIL ENABLED
		ENDPOINT EXPIRATION EXPIRES EXPIRY FILE
		FILENAME FOLDER FORMAT HELPER HOST HOSTNAME ID IDS ISSUER LENGTH LIMIT METHOD MODE NAME NAMES PATH POLICY PORT
		PROVIDER REGION REQUIRED SCOPE SCOPES SERVER SERVICE SIZE SOCK SOCKET STORE TIMEOUT TTL TYPE URI URL USER
		USERNAME VERSION`)
	// otherWords say that there is no secret, but a switch or a number.
	otherWords = strings.Fields(`DISABLE ENABLE HAS IGNORE IS MAX MIN NO NOT NUM REQUIRE SKIP USE WITHOUT`)
	// keyKinds are keys that are not secret: CACHE_KEY.
	keyKinds = strings.Fields(`AUTHORIZED CACHE FOREIGN IDEMPOTENCY INDEX OBJECT PARTITION PRIMARY PUB PUBLIC RANGE ROUTING SORT`)
	// notSecret are names that only look secret: folders, sockets and files.
	notSecret = strings.Fields(`PWD OLDPWD SSH_AUTH_SOCK GOOGLE_APPLICATION_CREDENTIALS`)
)

var (
	nameWord = regexp.MustCompile(`[A-Z]+[0-9]*|[0-9]+`)
	camel    = regexp.MustCompile(`([a-z0-9])([A-Z])`)
	ordinal  = regexp.MustCompile(`^V?[0-9]+$`)
)

// wordsOf splits a name, as DB_PASS, docker.auth or clientSecret.
func wordsOf(name string) []string {
	return nameWord.FindAllString(strings.ToUpper(camel.ReplaceAllString(name, "${1}_$2")), -1)
}

// isAttribute reports whether a name is that of something about a secret: token_url.
func isAttribute(name string) bool {
	words := wordsOf(name)
	return len(words) > 0 && slices.Contains(attributeWords, words[len(words)-1])
}

// SecretName reports whether what has this name is a secret: an environment
// variable, or a value of a run.
func SecretName(name string) bool {
	words := wordsOf(name)
	if slices.Contains(notSecret, name) || len(words) == 0 {
		return false
	}
	if strings.HasPrefix(name, "TF_TOKEN_") { // the rest is a host
		return true
	}
	if slices.ContainsFunc(words, func(word string) bool { return slices.Contains(otherWords, word) }) {
		return false
	}
	if isAttribute(name) {
		return slices.Contains(words, "WEBHOOK") || strings.EqualFold(name, "slack_url")
	}
	for len(words) > 1 && (ordinal.MatchString(words[len(words)-1]) || slices.Contains(formWords, words[len(words)-1])) {
		if words[len(words)-1] == "STRING" && slices.Contains([]string{"CONNECTION", "CONN"}, words[len(words)-2]) {
			return true
		}
		words = words[:len(words)-1]
	}
	for i, word := range words {
		word = strings.TrimRight(word, "0123456789")
		last := i == len(words)-1
		switch {
		case slices.Contains(secretWords, word), endsSecret(word):
			return true
		case last && slices.Contains(lastWords, word):
			return true
		case last && i > 0 && (word == "KEY" || word == "KEYS"):
			return !slices.Contains(keyKinds, words[i-1])
		}
	}
	return false
}

func endsSecret(word string) bool {
	return slices.ContainsFunc(secretEndings, func(end string) bool { return strings.HasSuffix(word, end) })
}

// authorization is the header of that name: a scheme and credentials.
var authorization = regexp.MustCompile(`^(?i:apikey|basic|bearer|token) +(\S+)$`)

// authority is the part of a URL that may have credentials.
var authority = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*)://([^\s/?#"'<>@:]*)(:[^\s/"'<>]*)?@`)

// credentials returns the passwords in the URLs in a text, and the users of websites
// without a password that look like tokens.
func credentials(value string) (all []string) {
	for _, m := range authority.FindAllStringSubmatch(value, -1) {
		secret := strings.TrimPrefix(m[3], ":")
		if user := m[2]; (secret == "" || secret == "x-oauth-basic") && strings.HasPrefix(strings.ToLower(m[1]), "http") &&
			(len(user) >= 20 || len(user) >= 10 && strings.ContainsAny(user, "0123456789")) {
			secret = user
		}
		if decoded, err := url.PathUnescape(secret); err == nil {
			secret = decoded
		}
		if secret != "" {
			all = append(all, secret)
		}
	}
	return all
}

// minSecret is the length of the shortest text that is masked, and minNumber that
// of the shortest number: shorter ones occur by chance, and masking them would
// make everything else unreadable.
const minSecret, minNumber = 4, 8

// common are texts that are too common to be masked, in lower case.
var common = strings.Fields(`access admin administrator anonymous apikey basic bearer changeit changeme client default demo developer
	development docker dummy elastic example foobar github gitlab guest hello https ldap letmein local localhost
	mariadb master mock mongo mongodb mysql nginx oauth oauth2 oidc passphrase passw0rd passwd password postgres
	postgresql private prod production public qwerty rabbitmq redis root saml secret server service staging string
	temp test test123 tester testing token unknown user username value welcome`)

// settings are texts that are no secrets, but say yes or no.
var settings = strings.Fields(`0 1 auto disable disabled enable enabled false inherit n never nil no none null off on
	optional required true y
	yes always`)

// isSetting reports whether a text is not a secret whatever its name.
func isSetting(s string) bool {
	s = strings.TrimSpace(s)
	return s == "" || slices.Contains(settings, strings.ToLower(s))
}

// weakness says why a text cannot be masked; empty if it can.
func (m *Mask) weakness(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	first, _ := utf8.DecodeRuneInString(s)
	switch {
	case len(s) < minSecret:
		return "too short"
	case len(s) < minNumber && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsDigit(r) }) < 0:
		return "a short number"
	case m.public[s] || slices.Contains(common, s) || isSetting(s) || strings.Trim(s, string(first)) == "":
		return "too common"
	}
	return ""
}
