package logstore

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// loki is the push API of Loki. The labels are the service and the job delivery. Run, step
// and version are structured metadata of each line, since labels must not have many values;
// Loki has them since version 3.
type loki struct{ base *url.URL }

func newLoki(base *url.URL, tenant, authorization string) *httpStore {
	s := newHTTPStore(loki{base}, base.JoinPath("loki/api/v1/push"), "application/json", authorization)
	if tenant != "" {
		s.header.Set("X-Scope-OrgID", tenant)
	}
	return s
}

type lokiPush struct {
	Streams []lokiStream `json:"streams"`
}

type lokiStream struct {
	Stream map[string]string `json:"stream"`
	// Values are lists of a time in nanoseconds, a line, and its structured metadata.
	Values [][3]any `json:"values"`
}

// encode gives each line a time of its own, one nanosecond after that of the line before,
// so that they stay in order, and none is dropped as a duplicate.
func (loki) encode(l pipe.Log, first int, lines []string) ([]byte, error) {
	metadata := map[string]string{"run": l.Run, "step": l.Step}
	if l.Version != "" {
		metadata["version"] = l.Version
	}
	values := make([][3]any, len(lines))
	for i, line := range lines {
		at := l.At.Add(time.Duration(first + i))
		values[i] = [3]any{strconv.FormatInt(at.UnixNano(), 10), line, metadata}
	}
	return json.Marshal(lokiPush{Streams: []lokiStream{{Stream: map[string]string{"job": "delivery", "service": l.Service}, Values: values}}})
}

// check accepts only the documented status: while Loki blocks ingestion, it answers with
// another one that may be 2xx.
func (loki) check(status int, answer []byte, _ int, quote func(string) string) (stored bool, err error) {
	if status != http.StatusNoContent {
		return false, refused(status, quote(string(answer)))
	}
	return true, nil
}

// lokiLimit is the maximum number of lines that Loki returns by default.
const lokiLimit = "5000"

func (p loki) address(l pipe.Log, lines int) string {
	u := p.base.JoinPath("loki/api/v1/query_range")
	u.RawQuery = url.Values{
		"query":     {fmt.Sprintf(`{job="delivery",service=%q} | run=%q | step=%q`, l.Service, l.Run, l.Step)},
		"start":     {strconv.FormatInt(l.At.UnixNano(), 10)},
		"end":       {strconv.FormatInt(l.At.Add(time.Duration(lines)).UnixNano(), 10)},
		"direction": {"forward"}, "limit": {lokiLimit},
	}.Encode()
	return u.String()
}
