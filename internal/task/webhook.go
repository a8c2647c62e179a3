package task

import (
	"context"
	"fmt"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

var headersArgument = pipe.Argument{Name: "headers", Kind: pipe.Table, Summary: "HTTP headers to add."}

// webhook tells a program how the run is.
func (l *Library) webhook() pipe.Definition {
	return pipe.Definition{
		Type: "notify.webhook", Courtesy: true, Summary: "Tells a program how the run is, by HTTP POST.",
		Arguments: []pipe.Argument{
			{Name: "url", Kind: pipe.Text, Required: true, Summary: "Where it is told."},
			headersArgument,
			{Name: "body", Kind: pipe.Text, Summary: "What to send, by default the run as JSON."},
			requiredArgument,
		},
		Run: func(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
			body := []byte(c.Mask(c.Args.Text("body")))
			var err error
			if len(body) == 0 {
				body, err = asJSON(c.Run)
			}
			return posted(ctx, c, "told the webhook", body, err)
		},
		Mock: mock(nil, func(*pipe.Call) string { return "tell the webhook how the run is" }),
	}
}

// log sends the run to where logs are searched.
func (l *Library) log() pipe.Definition {
	return pipe.Definition{
		Type: "report.log", Courtesy: true, Summary: "Sends the run as one JSON document to where logs are searched, by HTTP POST.",
		Arguments: []pipe.Argument{
			{Name: "url", Kind: pipe.Text, Required: true, Summary: "Where documents are put in: https://elasticsearch.example.com/delivery/_doc."},
			headersArgument, requiredArgument,
		},
		Run: func(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
			body, err := asJSON(struct {
				Timestamp time.Time `json:"@timestamp"`
				pipe.Summary
			}{l.Clock.Now().UTC(), c.Run})
			return posted(ctx, c, "sent the run to the log", body, err)
		},
		Mock: mock(nil, func(*pipe.Call) string { return "send the run to the log" }),
	}
}

func posted(ctx context.Context, c *pipe.Call, what string, body []byte, err error) (pipe.Result, error) {
	if err == nil {
		err = post(ctx, c.Args.Text("url"), c.Args.Table("headers"), body)
	}
	if err != nil {
		err = fmt.Errorf("the run: %w", err)
	}
	return delivered(ctx, c, what, err)
}
