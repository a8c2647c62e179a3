package packer_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os/exec"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// machine is a server that Packer can sign in to and build an image from: it
// runs commands and stores files, right where the test runs.
type machine struct {
	host string
	port int
}

// startMachine starts an SSH server on a free port, for the user and password
// "packer".
func startMachine(t *testing.T) machine {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{PasswordCallback: func(c ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
		if c.User() != "packer" || string(password) != "packer" {
			return nil, errors.New("wrong user or password")
		}
		return nil, nil
	}}
	config.AddHostKey(signer)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serveConnection(conn, config)
		}
	}()
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("listening on %v", listener.Addr())
	}
	return machine{host: address.IP.String(), port: address.Port}
}

func serveConnection(conn net.Conn, config *ssh.ServerConfig) {
	defer conn.Close() //nolint:errcheck // the client is gone
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		if c.ChannelType() != "session" {
			_ = c.Reject(ssh.UnknownChannelType, "sessions only")
			continue
		}
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		go serveSession(channel, requests)
	}
}

// serveSession runs the one command, or serves the one SFTP client, that the
// session is for.
func serveSession(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close() //nolint:errcheck // the client is gone
	for r := range requests {
		var payload struct{ Value string }
		err := ssh.Unmarshal(r.Payload, &payload)
		switch {
		case err == nil && r.Type == "exec":
			_ = r.Reply(true, nil)
			command := exec.Command("sh", "-c", payload.Value)
			command.Stdout, command.Stderr = channel, channel.Stderr()
			_ = command.Run()
			status := struct{ Status uint32 }{uint32(command.ProcessState.ExitCode())}
			_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(status))
			return
		case err == nil && r.Type == "subsystem" && payload.Value == "sftp":
			_ = r.Reply(true, nil)
			server, err := sftp.NewServer(channel)
			if err != nil {
				return
			}
			if err := server.Serve(); err != nil && !errors.Is(err, io.EOF) {
				return
			}
			return
		}
		_ = r.Reply(false, nil)
	}
}
