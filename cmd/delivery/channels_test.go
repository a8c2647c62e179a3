package main

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// A secret leaves by no channel, however a step prints it.
func TestRun_SecretsInEveryChannel(t *testing.T) {
	var mu sync.Mutex
	texts := map[string]string{}
	add := func(channel, text string) {
		mu.Lock()
		defer mu.Unlock()
		texts[channel] += text
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		add(r.URL.Path, string(body))
		if r.URL.Path == "/refused" {
			http.Error(w, "no: "+os.Getenv("X_TOKEN"), http.StatusForbidden)
		}
	}))
	defer server.Close()
	mails, metrics := receiveMail(t), listenUDP(t, func(packet string) { add("metrics", packet) })
	c := newCheckout(t, fmt.Sprintf(`
first:
  - {name: version, do: init.version}
main:
  - name: leak
    do: build.command
    command: |
      echo $X_TOKEN | grep --color=always -- horse
      cat hidden.txt
      printf 'correct-'; sleep 0.1; printf '\033[1mhorse'; sleep 0.1; printf -- '-battery\n'
      printf 'returned correct-\rhorse-battery\nremoved correct-hX\borse-battery\n'
      echo "$X_TOKEN" | base64
      echo "url=https://ada:$X_TOKEN@example.com/" >> $DELIVERY_OUTPUT
      echo "image=example.com/x:1" >> $DELIVERY_OUTPUT
    outputs: [url, image]
  - name: tests
    do: test.command
    reports: "*.xml"
    command: |
      printf '<testsuite name="s"><testcase name="a"><failure message="got correct-&#27;[1mhorse-battery %%s"/></testcase></testsuite>' "$X_TOKEN" > a.xml
      echo $X_TOKEN | grep --color=always -- horse
      exit 1
last:
  - {name: slack, do: notify.slack, url: "%[1]s/slack"}
  - {name: slack with text, do: notify.slack, url: "%[1]s/slack", text: "<!here> ${{ env.X_TOKEN }} ${{ url }} ${{ env.BRANCH }}"}
  - {name: webhook, do: notify.webhook, url: "%[1]s/webhook"}
  - {name: body, do: notify.webhook, url: "%[1]s/webhook", body: '{"note": "${{ url }} ${{ env.QUOTED }}", "json": ${{ json(env.QUOTED) }}, "${{ env.X_TOKEN }}": 1}'}
  - {name: log, do: report.log, url: "%[1]s/log"}
  - {name: refused, do: notify.webhook, url: "%[1]s/refused"}
  - {name: mail, do: notify.email, to: ada@example.com, from: ci@example.com, server: "%[2]s", subject: "${{ env.X_TOKEN }}\r\nBcc: eve@example.com"}
  - {name: metrics, do: report.metrics, address: "%[3]s"}
`, server.URL, mails.address, metrics))
	store := serveLoki(t)
	c.write(t, "hidden.txt", "erased correct-\x1b[Khorse-battery, a NUL correct-\x00horse-battery, hidden correct-\u200bhorse-battery\n")
	t.Setenv("X_TOKEN", "correct-horse-battery")
	t.Setenv("BRANCH", "<!channel>")
	t.Setenv("QUOTED", `a "quoted" text`)
	code, out, said := c.delivery(t, "run", "--verbose", "--set", "my_password=of-the-command-line", "--allow-unpushed")
	if code != exitcode.Failed {
		t.Fatalf("got exit code %d: %s", code, said)
	}
	add("stdout", out)
	add("stderr", said)
	run := regexp.MustCompile(`logs/(\w+)/`).FindStringSubmatch(out)[1]
	for channel, args := range map[string][]string{
		"run show": {"run", "show", run}, "run show as JSON": {"run", "show", run, "-o", "json"},
		"events": {"event", "list", "--version", "1", "-o", "json"},
		"again":  {"run", "--run-task", "leak", "--of", run, "--allow-unpushed"}, "JSON": {"run", "-o", "json", "--allow-unpushed"},
	} {
		_, out, said := c.delivery(t, args...)
		add(channel, out+said)
	}
	for _, folder := range []string{c.data, c.state} {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			add(strings.TrimPrefix(path, folder), string(content))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	add("mail", mails.received(t))
	add("log store", store.sent)
	channels := []string{"/slack", "/webhook", "/log", "/refused", "metrics", "mail", "stdout", "stderr", "JSON", "log store",
		"/delivery/logs/" + run + "/leak.log"}
	for _, channel := range channels {
		if texts[channel] == "" {
			t.Errorf("nothing was sent by %s", channel)
		}
	}
	forms := []string{"correct-horse", "horse-battery", "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5", "of-the-command-line", "got correct-\x1b"}
	for channel, shown := range texts {
		for _, form := range forms {
			for _, seen := range []string{shown, text.Clean(shown)} {
				if i := strings.Index(seen, form); i >= 0 {
					t.Errorf("%s holds %s: …%q…", channel, form, seen[max(0, i-80):min(len(seen), i+40)])
				}
			}
		}
	}
	contains(t, texts["/slack"], `"text":"<!here> *** `, `&lt;!channel&gt;"`)
	contains(t, texts["/webhook"], `{"note": "`, ` a \"quoted\" text", "json": "a \"quoted\" text", "***": 1}`)
	contains(t, texts["mail"], "Subject: *** Bcc: eve@example.com\r\n")
	contains(t, texts["/log"], `\"message\":\"got *** ***\"`)
	contains(t, said, "erased ***, a NUL ***, hidden ***", "leak | returned ***", "leak | removed ***",
		"refused: warning: not delivered: the run: "+server.URL+" answered 403 Forbidden: no: ***")
}

// listenUDP returns the address of a server that calls f with what it gets.
func listenUDP(t *testing.T, f func(packet string)) (address string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buffer := make([]byte, 64<<10)
		for {
			n, _, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			f(string(buffer[:n]))
		}
	}()
	return conn.LocalAddr().String()
}

// mailbox is a mail server that takes all mails.
type mailbox struct {
	address string
	mails   chan string
}

func receiveMail(t *testing.T) *mailbox {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	m := &mailbox{address: listener.Addr().String(), mails: make(chan string, 100)}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			m.serve(conn)
		}
	}()
	return m
}

func (m *mailbox) serve(conn net.Conn) {
	defer conn.Close() //nolint:errcheck // a connection of a test
	reader := bufio.NewReader(conn)
	answer := func(line string) { _, _ = io.WriteString(conn, line+"\r\n") }
	answer("220 here")
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return
		}
		switch command, _, _ := strings.Cut(strings.TrimSpace(line), " "); command {
		case "DATA":
			answer("354 go on")
			var mail strings.Builder
			for line, err = reader.ReadString('\n'); err == nil && line != ".\r\n"; line, err = reader.ReadString('\n') {
				mail.WriteString(line)
			}
			m.mails <- mail.String()
			answer("250 taken")
		case "QUIT":
			answer("221 bye")
			return
		default:
			answer("250 fine")
		}
	}
}

// received is all that was received.
func (m *mailbox) received(t *testing.T) (all string) {
	t.Helper()
	for {
		select {
		case mail := <-m.mails:
			all += mail
		default:
			return all
		}
	}
}
