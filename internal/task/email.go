package task

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"strconv"
	"strings"

	"github.com/wneessen/go-mail"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// portTLS is where servers speak TLS from the start, without STARTTLS.
const portTLS = 465

// email tells people how the run is.
func (l *Library) email() pipe.Definition {
	return pipe.Definition{
		Type: "notify.email", Courtesy: true, Summary: "Tells people how the run is, by mail.",
		Arguments: []pipe.Argument{
			{Name: "to", Kind: pipe.List, From: []string{"email_to"}, Summary: "The addresses that get it, by default that in the value email_to. Without one, nobody is told."},
			{Name: "from", Kind: pipe.Text, From: []string{"email_from"}, Summary: "The address that it comes from, by default that in the value email_from."},
			{Name: "server", Kind: pipe.Text, From: []string{"email_server"}, Summary: "The mail server, as host:port: smtp.example.com:587; by default that in the value email_server."},
			{Name: "username", Kind: pipe.Text, Summary: "Who signs in to the server; left out, nobody does."},
			{Name: "password", Kind: pipe.Text, Summary: "The password, which is sent through TLS only."},
			{Name: "tls", Kind: pipe.Text, OneOf: []string{"auto", "required", "none"}, Summary: "Whether to use TLS: auto (the default, if the server does), required, or none."},
			{Name: "subject", Kind: pipe.Text, Summary: "The subject, by default how the run ended."},
			{Name: "text", Kind: pipe.Text, Summary: "The text, by default what became of each step."},
			requiredArgument,
		},
		Run: l.runEmail,
		Mock: mock(nil, func(c *pipe.Call) string {
			return fmt.Sprintf("mail %s: %s", strings.Join(c.Args.List("to"), ", "), emailSubject(c))
		}),
	}
}

// emailSubject is one line, whatever is in it.
func emailSubject(c *pipe.Call) string {
	return text.Clip(text.Line(c.Mask(cmp.Or(c.Args.Text("subject"), tell(c.Run)))), 200)
}

func (l *Library) runEmail(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
	if !c.Args.Has("to") {
		return nobody(c, "email_to in .delivery.yml, or the argument to, says who; email_from and email_server go with it")
	}
	message, to, err := l.emailMessage(c)
	if err != nil {
		return delivered(ctx, c, "", err)
	}
	server, err := emailServer(c)
	if err != nil {
		return delivered(ctx, c, "", err)
	}
	bounded, cancel := withPatience(ctx)
	defer cancel()
	if err = server.DialAndSendWithContext(bounded, message); err != nil {
		if cause := context.Cause(bounded); cause != nil {
			err = cause
		}
		why := text.Line(err.Error())
		if errors.Is(err, mail.ErrNoSupportedAuthDiscovered) {
			why += "; without TLS no password is sent as it is: use a server, or a port of it, that speaks TLS"
		}
		err = fmt.Errorf("the mail by %s: %s", c.Args.Text("server"), why)
	}
	return delivered(ctx, c, fmt.Sprintf("mailed %s: %s", strings.Join(to, ", "), emailSubject(c)), err)
}

func (l *Library) emailMessage(c *pipe.Call) (message *mail.Msg, to []string, err error) {
	message = mail.NewMsg()
	message.SetDateWithValue(l.Clock.Now())
	from, err := netmail.ParseAddress(c.Args.Text("from"))
	if err != nil {
		return nil, nil, fmt.Errorf("from: %q is no mail address", c.Args.Text("from"))
	}
	message.FromMailAddress(from)
	for _, text := range c.Args.List("to") {
		addresses, err := netmail.ParseAddressList(text)
		if err != nil {
			return nil, nil, fmt.Errorf("to: %q is no mail address", text)
		}
		for _, address := range addresses {
			to = append(to, address.Address)
			message.AddToMailAddress(address)
		}
	}
	if len(to) == 0 {
		return nil, nil, errors.New("to: nobody is named")
	}
	message.Subject(emailSubject(c))
	message.SetBodyString(mail.TypeTextPlain, c.Mask(cmp.Or(c.Args.Text("text"), tell(c.Run)+"\n\n"+details(c.Run))))
	return message, to, nil
}

func emailServer(c *pipe.Call) (*mail.Client, error) {
	host, portText, err := net.SplitHostPort(c.Args.Text("server"))
	port, parseErr := strconv.Atoi(portText)
	if err != nil || parseErr != nil || host == "" {
		return nil, fmt.Errorf("server: %q has not the form host:port, as in smtp.example.com:587", c.Args.Text("server"))
	}
	policy := cmp.Or(c.Args.Text("tls"), "auto")
	options := []mail.Option{mail.WithPort(port), mail.WithTimeout(patience), mail.WithTLSPolicy(map[string]mail.TLSPolicy{
		"auto": mail.TLSOpportunistic, "required": mail.TLSMandatory, "none": mail.NoTLS,
	}[policy])}
	if port == portTLS && policy != "none" {
		options = append(options, mail.WithSSL())
	}
	if username := c.Args.Text("username"); username != "" {
		options = append(options, mail.WithUsername(username), mail.WithPassword(c.Args.Text("password")), mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover))
	}
	client, err := mail.NewClient(host, options...)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	return client, nil
}
