package pipe_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

func TestMask(t *testing.T) {
	m := pipe.NewMask([]string{
		"NEXUS_PASSWORD=p4ss w0rd&", "GITHUB_TOKEN=ghp_1234", "API_KEY=abc", "AWS_SECRET_ACCESS_KEY=wJalrXUtn", "HOME=/home/ada", "LISTED=by-name", "KEYBOARD=qwerty",
		"SSH_PRIVATE_KEY=-----BEGIN-----\nMIIEpAIB\n-----END-----",
		"PGPASSWORD=pg-word", "SECRET_KEY=keyed", "PWD=/srv/here", "DATABASE_URL=postgres://ada:url-word@db/shop", "GCP_CREDENTIALS={\"key\": [\"json-word\", 12345], \"n\": null}",
	}, []string{"LISTED"})
	m.Add("x", "ghp_1234_longer")
	for text, want := range map[string]string{
		"password p4ss w0rd& here":      "password *** here",
		"?q=p4ss+w0rd%26":               "?q=***",
		`{"p":"p4ss w0rd\u0026"}`:       `{"p":"***"}`,
		"ghp_1234":                      "***",
		"ghp_1234_longer":               "***",
		"ghp_1234ghp_1234":              "******",
		"abc is too short to be masked": "abc is too short to be masked",
		"/home/ada and qwerty":          "/home/ada and qwerty",
		"by-name":                       "***",
		"line MIIEpAIB of a key":        "line *** of a key",
		base64.StdEncoding.EncodeToString([]byte("wJalrXUtn")): "***",
		"pg-word, keyed, url-word, json-word":                  "***, ***, ***, ***",
		"in /srv/here, by ada, of 12345":                       "in /srv/here, by ada, of 12345",
		"":                                                     "",
	} {
		if got := m.Text(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// A secret may look like a key of what is stored, or like a number in it.
func TestMask_JSON(t *testing.T) {
	m := pipe.NewMask(nil, nil)
	for _, secret := range []string{"name", "10001000", `say "hi"`} {
		m.Add("x", secret)
	}
	text := `{"name": "the name", "at":{"line":1000, "n": 10001000, "t": true},"args":{"The name":["x\\","10001000","say \"hi\": now","\u006eame"]}}`
	want := `{"name": "the ***", "at":{"line":1000, "n": "***", "t": true},"args":{"The ***":["x\\","***","***: now","***"]}}`
	if got := m.JSON(text); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A text that is cut behind the mask shows no part of a secret, nor do secrets that
// overlap.
func TestMask_Overlap(t *testing.T) {
	m := pipe.NewMask(nil, nil)
	m.Add("x", "abcdefgh")
	m.Add("x", "efghijkl")
	m.Add("x", "defg")
	for text, want := range map[string]string{
		"-abcdefghijkl-": "-***-", "-abcdefgh-efghijkl-": "-***-***-", "abcdefghabcdefgh": "******", "abcdefg": "abc***",
	} {
		if got := m.Text(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// A progress bar is its last state, whatever the line end.
func TestMask_Overwrite(t *testing.T) {
	m := pipe.NewMask(nil, nil)
	m.Add("x", "correct-horse")
	for text, want := range map[string]string{
		"10%\r50%\r100%\ndone\r\n": "100%\ndone\n",
		"N\bNA\bAM\bME\bE\n":       "NAME\n",
		"correct-\rhorse\n":        "***\n",
		"xxxx\rcorrect-horse\n":    "xxxx***\n",
		"corXX\b\brect-horse\n":    "***\n",
		"ä\b\b\bb\r":               "b",
	} {
		if got := m.Text(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	var got strings.Builder
	w := m.Writer(&got)
	for range 100 { // more than a line that is held back
		if _, err := io.WriteString(w, strings.Repeat("x", 1000)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(w, "correct-\r"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, "horse"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("x", 100_000) + "***"; got.String() != want {
		t.Errorf("got %d bytes, which end in %q", got.Len(), got.String()[got.Len()-20:])
	}
}

// Whatever the pieces in which a text comes, the same is masked.
func TestMask_Writer(t *testing.T) {
	m := pipe.NewMask(nil, nil)
	for _, secret := range []string{"aaab", "aabaab", "secret-1", "cret-1x", "secret-1-and-more"} {
		m.Add("x", secret)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var text strings.Builder
		for range 30 {
			text.WriteString([]string{"a", "b", "aa", "aaab", "secret-1", "secret-", "x", "cret-1x", "-and-more", "\n"}[random.IntN(10)])
		}
		var got strings.Builder
		w := m.Writer(&got)
		for rest := text.String(); rest != ""; {
			n := 1 + random.IntN(min(len(rest), 9))
			if _, err := io.WriteString(w, rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if want := m.Text(text.String()); got.String() != want {
			t.Fatalf("%q: got %q, want %q", text.String(), got.String(), want)
		}
	}
}

// The same holds where pieces end within escapes, and characters of several bytes.
func TestMask_WriterOfEscapes(t *testing.T) {
	m := pipe.NewMask(nil, nil)
	for _, s := range []string{`a"b'c\d`, "secret-1", "pass word&x", "aaab", "$$a%25%", "ä😀x", "line1xx\nline2yy", `\\\\\\\\`, "''''\"\"x"} {
		m.Add("x", s)
	}
	bits := []string{
		"a", `"`, "'", `\`, "b", "c", "d", "s", "ecret-", "1", "pass", " ", "+", "%20", "word", "&amp;", "&", "x", "$", "%",
		"25", "ä", "😀", "\\u00e4", "\x1b[1m", "\x1b", "[", "\r", "\b", "\n", "line1xx", "line2yy", "\\n", "c2Vj", "cmV0LTE",
		"73656372", "65742d31", "\x00", "\u200b", "\xc3", "\xa4", "\x1b]0;t", "\a", "=", "=\n", "\\\n", "'\\''", "&#", "38;",
		"x26;",
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		var b strings.Builder
		for range 25 {
			b.WriteString(bits[random.IntN(len(bits))])
		}
		var got strings.Builder
		w := m.Writer(&got)
		for rest := b.String(); rest != ""; {
			n := 1 + random.IntN(min(len(rest), 5))
			if _, err := io.WriteString(w, rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if want := m.Text(b.String()); got.String() != want {
			t.Fatalf("%q: got %q, want %q", b.String(), got.String(), want)
		}
	}
}

func TestSecretName(t *testing.T) {
	for _, name := range strings.Fields(`PASSWORD PASS DB_PASS MYSQL_PWD PGPASSWORD SSHPASS ANSIBLE_BECOME_PASS GPG_PASSPHRASE BORG_PASSPHRASE
		TOKEN GITHUB_TOKEN TF_TOKEN_app_terraform_io TF_TOKEN_example_no_host TF_VAR_db_password NPM_CONFIG__AUTH npm_config_//registry.npmjs.org/:_authToken
		VAULT_TOKEN AWS_SESSION_TOKEN AWS_SECRET_ACCESS_KEY API_TOKEN_PROD TOKEN_1 API_KEY2 SECRET_KEY_BASE RAILS_MASTER_KEY
		STRIPE_KEY SIGNING_KEY DEPLOY_SSH_KEY SSH_KEY SSH_PRIVATE_KEY PRIVATE_KEY_PEM TLS_KEY_B64 LICENSE_KEY DD_APP_KEY SENDGRID_KEY APIKEY
		GH_PAT GITLAB_PAT DOCKER_AUTH_CONFIG CONSUL_HTTP_AUTH REDISCLI_AUTH HTTP_AUTHORIZATION AUTH_HEADER CI_JOB_JWT CI_JOB_JWT_V2 GOOGLE_CREDENTIALS
		AWS_CREDS SENTRY_DSN AZURE_STORAGE_CONNECTION_STRING SLACK_WEBHOOK SLACK_WEBHOOK_URL SLACK_URL slack_url CLIENT_SECRET clientSecret JWT_SECRET
		my_password admin_password docker.password docker.auth api_token registry.apiKey`) {
		if !pipe.SecretName(name) {
			t.Errorf("%s is not a secret", name)
		}
	}
	for _, name := range strings.Fields(`PWD OLDPWD SSH_AUTH_SOCK GOOGLE_APPLICATION_CREDENTIALS AWS_ACCESS_KEY_ID AWS_SHARED_CREDENTIALS_FILE
		AWS_WEB_IDENTITY_TOKEN_FILE PASSWORD_STORE_DIR SSH_ASKPASS GIT_ASKPASS NO_AUTH DISABLE_AUTH USE_TOKEN SKIP_PASSWORD AUTH_TYPE AUTH_URL TOKEN_URL
		TOKEN_EXPIRY PASSWORD_MIN_LENGTH SECRET_NAME SSH_KEY_PATH SSH_PUBLIC_KEY CACHE_KEY KEY KEYBOARD MONKEY TOKENIZER MAX_TOKENS PATH PATTERN COMPASS
		AUTHOR GIT_AUTHOR_NAME OAUTH_SCOPES XAUTHORITY HOME image artifact version url passed tests token_count DB_USER DB_HOST`) {
		if pipe.SecretName(name) {
			t.Errorf("%s is a secret", name)
		}
	}
}

// What is a secret by its name, by its form, or not at all.
func TestMask_Values(t *testing.T) {
	const pem = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAx1\nq7Zt9sPk\n-----END RSA PRIVATE KEY-----\n"
	key, err := json.Marshal(map[string]any{"type": "service_account", "project_id": "acme-prod-17", "private_key": pem, "token_uri": "https://oauth2.example.com/"})
	if err != nil {
		t.Fatal(err)
	}
	m := pipe.NewMask([]string{
		"GIT_URL=https://glpat-1234567890@git.example.com/x.git", "AZURE_URL=https://acme@dev.azure.com/acme", "SSH_URL=ssh://deployer@host/x",
		"PIP_EXTRA_INDEX_URL=https://ada:index-one@a.example.com https://ada:index%2Dtwo@b.example.com", "NO_AUTH=true",
		"POSTGRES_PASSWORD=postgres", "PIN_TOKEN=123456", "LONG_TOKEN=12345678", "X_TOKEN=abc", "Y_TOKEN=xxxxxxxx", "NAME_TOKEN=Strawberry",
		"GOOGLE_CREDENTIALS=" + string(key),
	}, nil, "strawberry")
	m.AddValue("my_password", "from-delivery-yml")
	m.AddValue("endpoint", "amqp://u:amqp-word@mq")
	for text, want := range map[string]string{
		"https://glpat-1234567890@git":            "https://***@git",
		"acme on dev.azure.com":                   "acme on dev.azure.com",
		"deployer":                                "deployer",
		"index-one index-two":                     "*** ***",
		"index%2Dtwo index%2dtwo":                 "*** ***",
		"true and postgres-proxy":                 "true and postgres-proxy",
		"123456 12345678":                         "123456 ***",
		"abc xxxxxxxx strawberry":                 "abc xxxxxxxx strawberry",
		"from-delivery-yml, amqp-word":            "***, ***",
		"  MIIEowIBAAKCAQEAx1\n  q7Zt9sPk\n":      "  ***\n  ***\n",
		`"` + strings.ReplaceAll(pem, "\n", `\n`): `"***\n`,
		"gcr.io/acme-prod-17/x service_account https://oauth2.example.com/": "gcr.io/acme-prod-17/x service_account https://oauth2.example.com/",
	} {
		if got := m.Text(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
		if m.Holds(text) != (text != want) {
			t.Errorf("%q: Holds is %t", text, m.Holds(text))
		}
	}
	want := []string{
		"the secret POSTGRES_PASSWORD is not masked, since it is too common", "the secret PIN_TOKEN is not masked, since it is a short number",
		"the secret X_TOKEN is not masked, since it is too short", "the secret Y_TOKEN is not masked, since it is too common",
		"the secret NAME_TOKEN is not masked, since it is too common",
	}
	if diff := cmp.Diff(m.Warnings(), want); diff != "" {
		t.Error(diff)
	}
	if again := m.Warnings(); again != nil {
		t.Errorf("got %q again", again)
	}
}

// The credentials in the header Authorization are masked without their scheme as well.
func TestMask_Authorization(t *testing.T) {
	for value, token := range map[string]string{
		"Basic YWRhOmNvcnJlY3QtaG9yc2U=": "YWRhOmNvcnJlY3QtaG9yc2U=",
		"Bearer correct-horse":           "correct-horse",
		"ApiKey correct-horse":           "correct-horse",
	} {
		mask := pipe.NewMask([]string{"DELIVERY_LOGS_AUTHORIZATION=" + value}, nil)
		if got := mask.Text(value + ", " + token); got != "***, ***" {
			t.Errorf("got %q", got)
		}
	}
	if got := pipe.NewMask([]string{"TARIFF=Basic monthly"}, nil).Text("monthly"); got != "monthly" {
		t.Errorf("got %q, want that the value of another variable is not masked", got)
	}
}
