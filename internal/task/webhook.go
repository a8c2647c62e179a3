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
			{
				Name: "body", Kind: pipe.Text, Escape: escapeJSON,
				Summary: "The body to send, in which values within quotes are escaped as in JSON; by default the run as JSON.",
			},
			requiredArgument,
		},
		Run: func(ctx context.Context, c *pipe.Call) (pipe.Result, error) {
			body, err := []byte(c.Args.Text("body")), error(nil)
			if len(body) == 0 {
				body, err = asJSON(c.Run)
			}
			return r.posted(ctx, c, "sent the run to the webhook", body, err)
		},
		Mock: mock(nil, func(*pipe.Call) string { return "send the run to the webhook" }),
	}
}

// escapeJSON escapes a value that is within a string in JSON.
func escapeJSON(before, value string) string {
	within := false
	for i := 0; i < len(before); i++ {
		switch before[i] {
		case '"':
			within = !within
		case '\\':
			i++
		}
	}
	if !within {
		return value
	}
	quoted, err := asJSON(value)
	if err != nil {
		return "" // unreachable: it is a text
	}
	return string(quoted[1 : len(quoted)-1])
}

// log sends the run to a store of logs.
func (r *Registry) log() pipe.Definition {
	return pipe.Definition{
		Type: "report.log", BestEffort: true,
		Summary: "Sends how the run and its steps ended, without their output, as one JSON document to a log store, such as Elasticsearch, " +
			"by HTTP POST.",
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
			return r.posted(ctx, c, "sent the run to the log store", body, err)
		},
		Mock: mock(nil, func(*pipe.Call) string { return "send the run to the log store" }),
	}
}

func (r *Registry) posted(ctx context.Context, c *pipe.Call, what string, body []byte, err error) (pipe.Result, error) {
	if err == nil {
		err = r.post(ctx, c, c.Args.Table("headers"), []byte(c.MaskJSON(string(body))))
	}
	if err != nil {
		err = fmt.Errorf("the run: %w", err)
	}
	return delivered(ctx, c, what, err)
}
