package logstore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// elasticsearch is the bulk API of Elasticsearch and OpenSearch. Base is the URL of the index
// or data stream. Each line is a document.
type elasticsearch struct{ base *url.URL }

func newElasticsearch(base *url.URL, authorization string) *httpStore {
	bulk := base.JoinPath("_bulk")
	bulk.RawQuery = "filter_path=errors,items.*.error" // the rest of the answer is as long as the log
	return newHTTPStore(elasticsearch{base}, bulk, "application/x-ndjson", authorization)
}

type document struct {
	Timestamp string `json:"@timestamp"`
	Message   string `json:"message"`
	// Delivery keeps its fields apart from those that other programs store in the index.
	Delivery struct {
		Service string `json:"service"`
		Run     string `json:"run"`
		Step    string `json:"step"`
		Version string `json:"version,omitempty"`
		// Line is the number of the line, counted from 1.
		Line int `json:"line"`
	} `json:"delivery"`
}

// encode uses the action create, since data streams accept no other.
func (elasticsearch) encode(l pipe.Log, first int, lines []string) ([]byte, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	for i, line := range lines {
		d := document{Timestamp: l.At.UTC().Format(time.RFC3339Nano), Message: line}
		d.Delivery.Service, d.Delivery.Run, d.Delivery.Step, d.Delivery.Version = l.Service, l.Run, l.Step, l.Version
		d.Delivery.Line = first + i + 1
		body.WriteString(`{"create":{}}` + "\n")
		if err := encoder.Encode(d); err != nil {
			return nil, err
		}
	}
	return body.Bytes(), nil
}

// check looks for lines that were refused: the status of the answer is that of the request
// as a whole.
func (elasticsearch) check(
	status int, answer []byte, lines int, quote func(string) string,
) (stored bool, err error) {
	if status != http.StatusOK {
		return false, refused(status, quote(string(answer)))
	}
	var result struct {
		Errors *bool
		Items  []map[string]struct {
			Error struct{ Type, Reason string }
		}
	}
	if err := json.Unmarshal(answer, &result); err != nil || result.Errors == nil {
		return false, fmt.Errorf("not an answer of Elasticsearch: %s", quote(string(answer)))
	}
	if !*result.Errors {
		return true, nil
	}
	err = fmt.Errorf("%d of %s refused", len(result.Items), text.Count(lines, "line"))
	if len(result.Items) > 0 {
		for _, action := range result.Items[0] {
			err = fmt.Errorf("%w: %s", err, quote(action.Error.Type+": "+action.Error.Reason))
		}
	}
	return len(result.Items) < lines, err
}

// searchLimit is the maximum number of documents that a search returns by default.
const searchLimit = "10000"

func (p elasticsearch) address(l pipe.Log, _ int) string {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	u := p.base.JoinPath("_search")
	u.RawQuery = url.Values{
		"q":    {fmt.Sprintf(`delivery.run:"%s" AND delivery.step:"%s"`, quote.Replace(l.Run), quote.Replace(l.Step))},
		"sort": {"delivery.line"}, "size": {searchLimit},
	}.Encode()
	return u.String()
}
