package task

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// slack sends the state of the run to a channel.
func (r *Registry) slack() pipe.Definition {
	return pipe.Definition{
		Type: "notify.slack", BestEffort: true, Summary: "Sends the state of the run to a Slack channel.",
		Arguments: []pipe.Argument{
			{
				Name: "url", Kind: pipe.Text, From: []string{"slack_url", "env.SLACK_WEBHOOK_URL"},
				Summary: "The incoming webhook of the channel, which is a secret; by default the value slack_url or the environment variable " +
					"SLACK_WEBHOOK_URL. Without one, no message is sent.",
			},
			{
				Name: "text", Kind: pipe.Text,
				Escape:  func(_, value string) string { return slackEscape.Replace(value) },
				Summary: "The message, in Slack's markup, which values in it are not; by default how the run ended.",
			},
			requiredArgument,
		},
		Run: r.runSlack,
		Mock: mock(nil, func(c *pipe.Call) string {
			return "send to Slack: " + text.Line(cmp.Or(c.Args.Text("text"), summaryLine(c.Run)))
		}),
	}
}

// How much of a message is sent. Slack takes up to 40,000 characters of text
// (https://api.slack.com/changelog/2018-04-truncating-really-long-messages), and folds one
// of more than some thousand.
const (
	maxSlackText  = 40_000
	maxSlackState = 3000
	maxSlackTail  = 2000
)

// slackMessage is a message to an incoming webhook.
type slackMessage struct {
	Text        string            `json:"text"`
	Attachments []slackAttachment `json:"attachments,omitempty"`
}

type slackAttachment struct {
	Color    string   `json:"color"`
	Fallback string   `json:"fallback"`
	Text     string   `json:"text"`
	Markdown []string `json:"mrkdwn_in"`
}

// slackEscape escapes what Slack asks for.
var slackEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func (r *Registry) runSlack(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
	if !c.Args.Has("url") {
		return noRecipient(c, "set slack_url in .delivery.yml, or SLACK_WEBHOOK_URL in the environment")
	}
	message := slackMessage{Text: text.Clip(c.Mask(c.Args.Text("text")), maxSlackText-len("…"))}
	if message.Text == "" {
		message.Text = slackEscape.Replace(text.Clip(c.Mask(summaryLine(c.Run)), maxSlackState))
	}
	if step := c.Run.Failed(); step != nil && strings.TrimSpace(step.Tail) != "" {
		tail := step.Tail[max(0, len(step.Tail)-maxSlackTail):] // no part of a secret, since it is masked
		tail = strings.ReplaceAll(strings.ToValidUTF8(tail, ""), "```", "'''")
		message.Attachments = []slackAttachment{{
			Color: "danger", Fallback: slackEscape.Replace("the end of the output of " + step.Name),
			Text: "```" + slackEscape.Replace(tail) + "```", Markdown: []string{"text"},
		}}
	}
	body, err := asJSON(message)
	if err == nil {
		err = r.post(ctx, c, nil, body)
	}
	if err != nil {
		err = fmt.Errorf("the message to Slack: %w", err)
	}
	return delivered(ctx, c, "sent to Slack: "+text.Line(message.Text), err)
}
