package task

import (
	"context"
	"fmt"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

var headersArgument = pipe.Argument{Name: "headers", Kind: pipe.Table, Summary: "HTTP headers to add."}

// webhook posts the state of the run to a server.
func (r *Registry) webhook() pipe.Definition {
	return pipe.Definition{
		Type: "notify.webhook", BestEffort: true, Summary: "Sends the state of the run by HTTP POST.",
		Arguments: []pipe.Argument{
			{Name: "url", Kind: pipe.Text, Required: true, Summary: "The URL to send it to."},
			headersArgument,
			{Name: "body", Kind: pipe.Text, Summary: "The body to send; by default the run as JSON."},
			requiredArgument,
		},
		Run: func(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
			body := []byte(c.Mask(c.Args.Text("body")))
			var err error
			if len(body) == 0 {
				body, err = asJSON(c.Run)
			}
			return posted(ctx, c, "sent the run to the webhook", body, err)
		},
		Mock: mock(nil, func(*pipe.Call) string { return "send the run to the webhook" }),
	}
}

// log sends the run to a store of logs.
func (r *Registry) log() pipe.Definition {
	return pipe.Definition{
		Type: "report.log", BestEffort: true, Summary: "Sends the run as one JSON document to a log store, such as Elasticsearch, by HTTP POST.",
		Arguments: []pipe.Argument{
			{
				Name: "url", Kind: pipe.Text, Required: true,
				Summary: "The URL that accepts documents: https://elasticsearch.example.com/delivery/_doc.",
			},
			headersArgument, requiredArgument,
		},
		Run: func(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
			body, err := asJSON(struct {
				Timestamp time.Time `json:"@timestamp"`
				pipe.Summary
			}{r.Clock.Now().UTC(), c.Run})
			return posted(ctx, c, "sent the run to the log store", body, err)
		},
		Mock: mock(nil, func(*pipe.Call) string { return "send the run to the log store" }),
	}
}

func posted(ctx context.Context, c *pipe.Call, what string, body []byte, err error) (pipe.Result, error) {
	if err == nil {
		err = post(ctx, c.Mask, c.Args.Text("url"), c.Args.Table("headers"), body)
	}
	if err != nil {
		err = fmt.Errorf("the run: %w", err)
	}
	return delivered(ctx, c, what, err)
}
