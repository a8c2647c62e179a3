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

// portTLS is the port of servers that use TLS from the start, without STARTTLS.
const portTLS = 465

// email mails the state of the run.
func (r *Registry) email() pipe.Definition {
	return pipe.Definition{
		Type: "notify.email", BestEffort: true, Summary: "Sends the state of the run by mail.",
		Arguments: []pipe.Argument{
			{
				Name: "to", Kind: pipe.List, From: []string{"email_to"},
				Summary: "The addresses to send it to; by default the value email_to. Without one, no mail is sent.",
			},
			{
				Name: "from", Kind: pipe.Text, From: []string{"email_from"},
				Summary: "The sender's address; by default the value email_from.",
			},
			{
				Name: "server", Kind: pipe.Text, From: []string{"email_server"},
				Summary: "The mail server, as host:port: smtp.example.com:587; by default the value email_server.",
			},
			{Name: "username", Kind: pipe.Text, Summary: "The user to sign in as; by default there is no sign-in."},
			{Name: "password", Kind: pipe.Text, Summary: "The password, which is sent through TLS only."},
			{
				Name: "tls", Kind: pipe.Text, OneOf: []string{"auto", "required", "none"},
				Summary: "Whether to use TLS: auto (the default: if the server supports it), required, or none.",
			},
			{Name: "subject", Kind: pipe.Text, Summary: "The subject; by default how the run ended."},
			{Name: "text", Kind: pipe.Text, Summary: "The text; by default the state of each step."},
			requiredArgument,
		},
		Run: r.runEmail,
		Mock: mock(nil, func(c *pipe.Call) string {
			return fmt.Sprintf("mail %s: %s", strings.Join(c.Args.List("to"), ", "), emailSubject(c))
		}),
	}
}

// emailSubject returns the subject, which is always one line.
func emailSubject(c *pipe.Call) string {
	return text.Clip(text.Line(c.Mask(cmp.Or(c.Args.Text("subject"), summaryLine(c.Run)))), 200)
}

func (r *Registry) runEmail(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
	if !c.Args.Has("to") {
		return noRecipient(c, "set email_to in .delivery.yml, or the argument to; email_from and email_server belong to it")
	}
	from, to, err := emailAddresses(c)
	if err != nil {
		return delivered(ctx, c, "", err)
	}
	server, err := emailServer(c)
	if err != nil {
		return delivered(ctx, c, "", err)
	}
	bounded, cancel := withTimeout(ctx)
	defer cancel()
	mailed, refused := addressesOf(to), []string(nil)
	err = server.DialAndSendWithContext(bounded, r.emailMessage(c, from, to))
	if unknown := new(mail.SendError); errors.As(err, &unknown) && unknown.Reason == mail.ErrSMTPRcptTo && len(to) > 1 {
		// The server took the mail for no one, since it refused one of them.
		mailed, refused, err = r.mailEach(bounded, c, server, from, to)
	}
	if err != nil {
		if cause := context.Cause(bounded); cause != nil {
			err = cause
		}
		why := text.Line(err.Error())
		if errors.Is(err, mail.ErrNoSupportedAuthDiscovered) {
			why += "; a password is not sent without TLS: use a server or port with TLS"
		}
		err = fmt.Errorf("send the mail by %s: %s", c.Args.Text("server"), why)
	}
	result, err := delivered(ctx, c, fmt.Sprintf("mailed %s: %s", strings.Join(mailed, ", "), emailSubject(c)), err)
	result.Warnings = append(result.Warnings, refused...)
	if err == nil && len(refused) > 0 && c.Args.Switch(pipe.ArgRequired) {
		err = errors.New(strings.Join(refused, "; "))
	}
	return result, err
}

// mailEach mails each recipient a message of its own. It returns those who were mailed, and
// why the others were not. If the server took none, that is an error.
func (r *Registry) mailEach(
	ctx context.Context, c *pipe.Call, server *mail.Client, from *netmail.Address, to []*netmail.Address,
) (mailed, refused []string, err error) {
	messages := make([]*mail.Msg, len(to))
	for i, address := range to {
		messages[i] = r.emailMessage(c, from, []*netmail.Address{address})
	}
	if err = server.DialAndSendWithContext(ctx, messages...); err == nil {
		return addressesOf(to), nil, nil
	}
	for i, message := range messages {
		switch {
		case !message.IsDelivered() && message.SendError() == nil: // it was not reached
			return nil, nil, err
		case message.SendError() == nil:
			mailed = append(mailed, to[i].Address)
		default:
			refused = append(refused, fmt.Sprintf("not mailed %s: %s", to[i].Address, text.Line(message.SendError().Error())))
		}
	}
	if len(mailed) > 0 {
		err = nil
	}
	return mailed, refused, err
}

func addressesOf(list []*netmail.Address) []string {
	addresses := make([]string, len(list))
	for i, address := range list {
		addresses[i] = address.Address
	}
	return addresses
}

// emailMessage returns the mail to some recipients.
func (r *Registry) emailMessage(c *pipe.Call, from *netmail.Address, to []*netmail.Address) *mail.Msg {
	message := mail.NewMsg()
	message.SetDateWithValue(r.Clock.Now())
	message.FromMailAddress(from)
	for _, address := range to {
		message.AddToMailAddress(address)
	}
	message.Subject(emailSubject(c))
	message.SetBodyString(mail.TypeTextPlain, c.Mask(cmp.Or(c.Args.Text("text"), summaryLine(c.Run)+"\n\n"+details(c.Run))))
	return message
}

// emailAddresses returns the sender and the recipients.
func emailAddresses(c *pipe.Call) (from *netmail.Address, to []*netmail.Address, err error) {
	if from, err = netmail.ParseAddress(c.Args.Text("from")); err != nil {
		return nil, nil, fmt.Errorf("from: %q is not a valid mail address", c.Args.Text("from"))
	}
	for _, list := range c.Args.List("to") {
		addresses, err := netmail.ParseAddressList(list)
		if err != nil {
			return nil, nil, fmt.Errorf("to: %q is not a valid mail address", list)
		}
		to = append(to, addresses...)
	}
	if len(to) == 0 {
		return nil, nil, errors.New("to: the list of addresses is empty")
	}
	return from, to, nil
}

func emailServer(c *pipe.Call) (*mail.Client, error) {
	host, portText, err := net.SplitHostPort(c.Args.Text("server"))
	port, parseErr := strconv.Atoi(portText)
	if err != nil || parseErr != nil || host == "" {
		return nil, fmt.Errorf("server: %q is not a valid address: expected host:port, such as smtp.example.com:587", c.Args.Text("server"))
	}
	policy := cmp.Or(c.Args.Text("tls"), "auto")
	policies := map[string]mail.TLSPolicy{"auto": mail.TLSOpportunistic, "required": mail.TLSMandatory, "none": mail.NoTLS}
	options := []mail.Option{mail.WithPort(port), mail.WithTimeout(answerTimeout), mail.WithTLSPolicy(policies[policy])}
	if port == portTLS && policy != "none" {
		options = append(options, mail.WithSSL())
	}
	if username := c.Args.Text("username"); username != "" {
		options = append(options,
			mail.WithUsername(username), mail.WithPassword(c.Args.Text("password")), mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover))
	}
	client, err := mail.NewClient(host, options...)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	return client, nil
}
