package logstore_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/awscloud"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/logstore"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// request is what a test compares of a request.
type request struct {
	Method, URI, ContentType, Authorization, Tenant, Body string
}

// server records requests, and answers each with the next answer, or else with the last.
type server struct {
	*httptest.Server
	requests []request
	answers  []answer
}

type answer struct {
	status int
	body   string
}

func serve(t *testing.T, answers ...answer) *server {
	t.Helper()
	s := &server{answers: answers}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s.requests = append(s.requests, request{
			r.Method, r.RequestURI, r.Header.Get("Content-Type"), r.Header.Get("Authorization"), r.Header.Get("X-Scope-OrgID"), string(body),
		})
		now := s.answers[0]
		if len(s.answers) > 1 {
			s.answers = s.answers[1:]
		}
		w.WriteHeader(now.status)
		_, _ = io.WriteString(w, now.body)
	}))
	t.Cleanup(s.Close)
	return s
}

// send sends a log to the store at an address.
func send(t *testing.T, ctx context.Context, address, authorization, content string) (string, error) {
	t.Helper()
	store, err := logstore.Open(address, logstore.Config{Authorization: authorization})
	if err != nil {
		t.Fatal(err)
	}
	return store.Send(ctx, pipe.Log{
		Service: "web", Run: "01KB3ZJ8T0", Step: `unit "tests"`, Version: "1.4.0", Name: "web/01KB3ZJ8T0/unit-tests.log",
		At: time.Date(2026, 11, 26, 12, 0, 0, 5e8, time.UTC), Content: strings.NewReader(content),
		Mask: func(text string) string { return strings.ReplaceAll(text, "hunter22", "***") },
	})
}

// The requests are those that the servers' documentation describes: Loki's "Ingest logs",
// and Elasticsearch's "Bulk index or delete documents".
func TestSend_Requests(t *testing.T) {
	for name, tt := range map[string]struct {
		scheme, path, authorization string
		answer                      answer
		want                        request
		address                     string
	}{
		"Loki": {
			scheme: "loki+", path: "?tenant=ci", authorization: "Bearer hunter22", answer: answer{status: http.StatusNoContent},
			want: request{
				"POST", "/loki/api/v1/push", "application/json", "Bearer hunter22", "ci",
				`{"streams":[{"stream":{"job":"delivery","service":"web"},"values":[` +
					`["1795694400500000000","$ make test",{"run":"01KB3ZJ8T0","step":"unit \"tests\"","version":"1.4.0"}],` +
					`["1795694400500000001","",{"run":"01KB3ZJ8T0","step":"unit \"tests\"","version":"1.4.0"}],` +
					`["1795694400500000002","a \"quoted\" ü",{"run":"01KB3ZJ8T0","step":"unit \"tests\"","version":"1.4.0"}]]}]}`,
			},
			address: `/loki/api/v1/query_range?direction=forward&end=1795694400500000003&limit=5000&query=` +
				`%7Bjob%3D%22delivery%22%2Cservice%3D%22web%22%7D+%7C+run%3D%2201KB3ZJ8T0%22+%7C+step%3D%22unit+%5C%22tests%5C%22%22` +
				`&start=1795694400500000000`,
		},
		"Elasticsearch": {
			scheme: "elasticsearch+", path: "/es/delivery-logs", authorization: "ApiKey hunter22",
			answer: answer{http.StatusOK, `{"errors":false}`},
			want: request{
				"POST", "/es/delivery-logs/_bulk?filter_path=errors,items.*.error", "application/x-ndjson", "ApiKey hunter22", "",
				`{"create":{}}
{"@timestamp":"2026-11-26T12:00:00.5Z","message":"$ make test","delivery":` +
					`{"service":"web","run":"01KB3ZJ8T0","step":"unit \"tests\"","version":"1.4.0","line":1}}
{"create":{}}
{"@timestamp":"2026-11-26T12:00:00.5Z","message":"","delivery":` +
					`{"service":"web","run":"01KB3ZJ8T0","step":"unit \"tests\"","version":"1.4.0","line":2}}
{"create":{}}
{"@timestamp":"2026-11-26T12:00:00.5Z","message":"a \"quoted\" ü","delivery":` +
					`{"service":"web","run":"01KB3ZJ8T0","step":"unit \"tests\"","version":"1.4.0","line":3}}
`,
			},
			address: `/es/delivery-logs/_search?q=delivery.run%3A%2201KB3ZJ8T0%22+AND+delivery.step%3A%22unit+%5C%22tests%5C%22%22` +
				`&size=10000&sort=delivery.line`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, tt.answer)
			address, err := send(t, t.Context(), tt.scheme+s.URL+tt.path, tt.authorization, "$ make test\n\na \"quoted\" ü\n")
			if err != nil || address != s.URL+tt.address {
				t.Errorf("got %v and the address\n%s, want\n%s", err, address, s.URL+tt.address)
			}
			if diff := cmp.Diff(s.requests, []request{tt.want}); diff != "" {
				t.Errorf("got (-) differs from want (+):\n%s", diff)
			}
		})
	}
}

// An answer that does not confirm the log is an error. If a part was stored, there is an
// address as well.
func TestSend_Errors(t *testing.T) {
	const long = "one\ntwo\n"
	manyLines := strings.Repeat("line\n", 10_001)
	stored, full := answer{http.StatusOK, `{"errors":false}`}, answer{http.StatusTooManyRequests, "try later"}
	for name, tt := range map[string]struct {
		address, content string
		answers          []answer
		want             string
		part             bool
	}{
		"LokiRefuses":    {"loki+URL", long, []answer{{401, "no org id"}}, "the server answered 401 Unauthorized: no org id", false},
		"LokiBlocked":    {"loki+URL", long, []answer{{260, "blocked until 2027"}}, "the server answered 260: blocked until 2027", false},
		"LokiSecondPart": {"loki+URL", manyLines, []answer{{status: 204}, full}, "429 Too Many Requests: try later", true},
		"Redirect":       {"loki+URL", long, []answer{{301, ""}}, "redirects are not followed", false},
		"Masked":         {"loki+URL", long, []answer{{403, strings.Repeat("x", 296) + "hunter22"}}, "xxx***", false},
		"BulkRefuses":    {"elasticsearch+URL/logs", long, []answer{{400, `{"error":"bad"}`}}, `400 Bad Request: {"error":"bad"}`, false},
		"BulkNotStored": {"elasticsearch+URL/logs", "one\n", []answer{{200,
			`{"errors":true,"items":[{"create":{"error":{"type":"mapper_parsing_exception","reason":"no hunter22"}}}]}`}},
			"1 of 1 line refused: mapper_parsing_exception: no ***", false},
		"BulkPart": {"elasticsearch+URL/logs", long, []answer{{200,
			`{"errors":true,"items":[{"create":{"error":{"type":"es_rejected_execution_exception","reason":"queue is full"}}}]}`}},
			"1 of 2 lines refused: es_rejected_execution_exception: queue is full", true},
		"BulkSecondPart": {"elasticsearch+URL/logs", manyLines, []answer{stored, full}, "429 Too Many Requests", true},
		"BulkOther":      {"elasticsearch+URL/logs", long, []answer{{200, "<html>login"}}, "not an answer of Elasticsearch: <html>login", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, tt.answers...)
			address, err := send(t, t.Context(), strings.ReplaceAll(tt.address, "URL", s.URL), "Bearer hunter22", tt.content)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), s.URL+": ") || (address != "") != tt.part {
				t.Errorf("got the address %q and %v, want an error that contains %q and the server", address, err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter") {
				t.Errorf("got %v, which holds a secret", err)
			}
		})
	}
}

// A server that does not answer in time is an error that does not repeat the whole URL.
func TestSend_NoAnswer(t *testing.T) {
	done := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-done }))
	defer s.Close()
	defer close(done)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	address, err := send(t, ctx, "loki+"+s.URL, "", "a\n")
	if address != "" || !errors.Is(err, context.DeadlineExceeded) || err.Error() != s.URL+": context deadline exceeded" {
		t.Errorf("got %q and %v", address, err)
	}
}

func TestOpen(t *testing.T) {
	for _, address := range []string{
		"s3://logs", "s3://logs/delivery/?region=eu-north-1", "cloudwatch://delivery", "cloudwatch:///ci/delivery%23a?region=eu-north-1",
		"loki+https://loki.example.com", "loki+http://127.0.0.1:3100/prefix/?tenant=ci", "elasticsearch+https://es.example.com/delivery",
	} {
		if store, err := logstore.Open(address, logstore.Config{}); store == nil || err != nil {
			t.Errorf("%s: got %v and %v", address, store, err)
		}
	}
	if store, err := logstore.Open("", logstore.Config{}); store != nil || err != nil {
		t.Errorf("got %v and %v, want no store", store, err)
	}
}

func TestOpen_RefusesInvalidAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"logs":                                   `the scheme "" is unknown`,
		"https://loki.example.com":               `the scheme "https" is unknown`,
		"splunk+https://example.com":             `the scheme "splunk+https" is unknown`,
		"loki+ftp://example.com":                 `the scheme "loki+ftp" is unknown`,
		"loki://example.com":                     `the scheme "loki" is unknown`,
		"s3:logs":                                "two slashes must follow",
		"s3:///logs":                             "the bucket is missing",
		"s3://logs?profile=a":                    `the parameter "profile" is unknown`,
		"s3://logs#a":                            "write # as %23",
		"cloudwatch://":                          "the log group is missing",
		"loki+https:///path":                     "the host is missing",
		"loki+https://example.com?region=a":      `the parameter "region" is unknown`,
		"elasticsearch+https://example.com/":     "the index or data stream is missing",
		"loki+https://ada:hunter22@example.com/": "set DELIVERY_LOGS_AUTHORIZATION instead",
		"loki+https://ada:hunter22%zz@host":      "not a valid URL",
	} {
		store, err := logstore.Open(address, logstore.Config{AWS: awscloud.Config{}})
		if store != nil || err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "(from DELIVERY_LOGS)") {
			t.Errorf("%s: got %v and %v, want an error that contains %q", address, store, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter22") {
			t.Errorf("got %v, which holds a password", err)
		}
	}
}
