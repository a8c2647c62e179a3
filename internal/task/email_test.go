package task_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"math/big"
	"mime"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"net/textproto"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// certificate belongs to the mail server here. TestMain makes Go trust it.
var certificate tls.Certificate

func makeCertificate() (file []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	certificate = tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), nil
}

// trustCertificate makes Go trust the mail server, on systems where Go reads its
// trusted certificates from the environment.
func trustCertificate() (cleanup func(), err error) {
	dir, err := os.MkdirTemp("", "delivery-certificate-")
	if err != nil {
		return nil, err
	}
	cleanup = func() { _ = os.RemoveAll(dir) }
	file, err := makeCertificate()
	if err != nil {
		return cleanup, err
	}
	path := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		return cleanup, err
	}
	return cleanup, os.Setenv("SSL_CERT_FILE", path)
}

// mailServer implements enough SMTP to receive a mail.
type mailServer struct {
	address string
	// extensions are those it announces, refuse is its answer to RCPT for addresses that
	// contain refused.
	extensions      []string
	refuse, refused string

	mu    sync.Mutex
	mails []mail
}

type mail struct {
	from, to  string
	auth      string
	encrypted bool
	data      []byte
}

func startMailServer(t *testing.T, refuse string, extensions ...string) *mailServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s := &mailServer{address: "localhost:" + port, extensions: extensions, refuse: refuse}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

func (s *mailServer) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	var m mail
	c := textproto.NewConn(conn)
	reply := func(line string) { _ = c.PrintfLine("%s", line) }
	reply("220 localhost ESMTP")
	for {
		line, err := c.ReadLine()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			reply("250-localhost")
			for _, extension := range s.extensions {
				if extension != "STARTTLS" || !m.encrypted {
					reply("250-" + extension)
				}
			}
			reply("250 8BITMIME")
		case "STARTTLS":
			reply("220 go on")
			conn = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{certificate}})
			c, m.encrypted = textproto.NewConn(conn), true
		case "AUTH":
			m.auth = rest
			reply("235 welcome")
		case "MAIL":
			m.from, m.to = rest, ""
			reply("250 ok")
		case "RCPT":
			if s.refuse != "" && strings.Contains(rest, s.refused) {
				reply(s.refuse)
				continue
			}
			m.to += rest
			reply("250 ok")
		case "DATA":
			reply("354 go on")
			if m.data, err = c.ReadDotBytes(); err != nil {
				return
			}
			s.mu.Lock()
			s.mails = append(s.mails, m)
			s.mu.Unlock()
			reply("250 ok")
		case "QUIT":
			reply("221 bye")
			return
		default:
			reply("250 ok")
		}
	}
}

// only returns the mail that the server got.
func (s *mailServer) only(t *testing.T) (mail, *netmail.Message, string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mails) != 1 {
		t.Fatalf("the server got %d mails, want one", len(s.mails))
	}
	message, err := netmail.ReadMessage(bytes.NewReader(s.mails[0].data))
	if err != nil {
		t.Fatal(err)
	}
	body := message.Body
	if message.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
		body = quotedprintable.NewReader(body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return s.mails[0], message, string(text)
}

func TestEmail(t *testing.T) {
	base := func(s *mailServer, more pipe.Args) pipe.Args {
		args := pipe.Args{
			"to": []string{"Ada <ada@example.com>", "bob@example.com, carl@example.com"}, "from": "Delivery <ci@example.com>", "server": s.address,
		}
		for name, value := range more {
			args[name] = value
		}
		return args
	}
	t.Run("Plain", func(t *testing.T) {
		s := startMailServer(t, "")
		b := newFixture(t)
		b.run = failed()
		got, _, err := b.try(t, "notify.email", base(s, nil))
		if err != nil || len(got.Warnings) > 0 {
			t.Fatalf("got %+v (%v)", got, err)
		}
		envelope, message, text := s.only(t)
		if envelope.auth != "" || envelope.encrypted || !strings.Contains(envelope.from, "<ci@example.com>") ||
			strings.Count(envelope.to, "@example.com>") != 3 {
			t.Errorf("got %+v", envelope)
		}
		for name, want := range map[string]string{
			"From": `"Delivery" <ci@example.com>`, "To": `"Ada" <ada@example.com>, <bob@example.com>, <carl@example.com>`,
			"Subject": "strawberry 17: application failed at functional tests: exit code 1 <&>", "Content-Type": "text/plain; charset=UTF-8",
			"Date": "Sun, 01 Nov 2026 12:00:00 +0000",
		} {
			if got := message.Header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		for _, want := range []string{"Run:         01RUN", "succeeded    build", "failed       functional tests: exit code 1", "got 2"} {
			if !strings.Contains(text, want) {
				t.Errorf("the text does not say %q:\n%s", want, text)
			}
		}
	})
	t.Run("EncryptedAndSignedIn", func(t *testing.T) {
		if runtime.GOOS == "darwin" || runtime.GOOS == "windows" {
			t.Skip("Go does not take trusted certificates from the environment here")
		}
		s := startMailServer(t, "", "STARTTLS", "AUTH PLAIN LOGIN")
		got, out, err := newFixture(t).try(t, "notify.email", base(s, pipe.Args{
			"tls": "required", "username": "ci", "password": "s3cr3t",
			"subject": "Über\r\nBcc: eve@example.com", "text": "Hallo Größe\n.\n",
		}))
		if err != nil || len(got.Warnings) > 0 || strings.Contains(out, "s3cr3t") {
			t.Fatalf("got %+v (%v)", got, err)
		}
		envelope, message, text := s.only(t)
		subject, err := new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject"))
		if err != nil || subject != "Über Bcc: eve@example.com" || message.Header.Get("Bcc") != "" {
			t.Errorf("got the headers %+v (%v)", message.Header, err)
		}
		if want := "PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00ci\x00s3cr3t")); envelope.auth != want || !envelope.encrypted {
			t.Errorf("got %+v", envelope)
		}
		if strings.TrimSpace(strings.ReplaceAll(text, "\r", "")) != "Hallo Größe\n." {
			t.Errorf("got the text %q", text)
		}
	})
	for _, tt := range []struct {
		name       string
		refuse     string
		extensions []string
		args       pipe.Args
		says       string
	}{
		{"NoTLS", "", nil, pipe.Args{"tls": "required"}, "STARTTLS"},
		{
			"NoPasswordWithoutTLS", "", []string{"AUTH PLAIN LOGIN"}, pipe.Args{"username": "ci", "password": "s3cr3t"},
			"a password is not sent without TLS",
		},
		{"Refused", "550 no such user", nil, nil, "no such user"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startMailServer(t, tt.refuse, tt.extensions...)
			b := newFixture(t)
			_, out, err := b.try(t, "notify.email", base(s, tt.args))
			wantError(t, err, tt.says)
			if strings.Contains(out+err.Error(), "s3cr3t") {
				t.Errorf("the output contains the secret: %s %v", out, err)
			}
			if len(s.mails) > 0 {
				t.Errorf("got %+v", s.mails)
			}
		})
	}
	t.Run("RefusedForOne", func(t *testing.T) {
		for _, required := range []bool{false, true} {
			s := startMailServer(t, "550 no such user")
			s.refused = "bob@"
			got, _, err := newFixture(t).try(t, "notify.email", base(s, pipe.Args{"required": required}))
			if (err != nil) != required || !strings.HasPrefix(got.Message, "mailed ada@example.com, carl@example.com: ") ||
				len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "not mailed bob@example.com: ") ||
				!strings.Contains(got.Warnings[0], "no such user") {
				t.Errorf("required %t: got %+v (%v)", required, got, err)
			}
			if len(s.mails) != 2 || strings.Contains(s.mails[0].to+s.mails[1].to, "bob") {
				t.Errorf("got %+v", s.mails)
			}
		}
	})
	t.Run("WrongArguments", func(t *testing.T) {
		for says, args := range map[string]pipe.Args{
			`to: "ada" is not a valid mail address`: {"to": []string{"ada"}}, "to: the list of addresses is empty": {"to": []string{}},
			`from: "a@b\r\nBcc: c@d"`:                    {"from": "a@b\r\nBcc: c@d"},
			"is not a valid address: expected host:port": {"server": "localhost"},
		} {
			_, _, err := newFixture(t).try(t, "notify.email", base(&mailServer{address: "localhost:1"}, args))
			wantError(t, err, says)
		}
	})
}
