// Package functional_test tests strawberry from outside, at the URL in STRAWBERRY_URL.
package functional_test

import (
	"net/http"
	"os"
	"testing"
	"time"
)

func url(t *testing.T) string {
	t.Helper()
	at := os.Getenv("STRAWBERRY_URL")
	if at == "" {
		t.Skip("STRAWBERRY_URL is not set")
	}
	return at
}

var client = &http.Client{Timeout: 10 * time.Second}

func TestHealth(t *testing.T) {
	resp, err := client.Get(url(t) + "/health")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // it has been read
	if resp.StatusCode != http.StatusOK {
		t.Errorf("got %s", resp.Status)
	}
}

// All servers run the version under test.
func TestVersion(t *testing.T) {
	for range 20 {
		resp, err := client.Get(url(t) + "/")
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if want := os.Getenv("STRAWBERRY_VERSION"); resp.StatusCode != http.StatusOK || resp.Header.Get("X-Version") != want {
			t.Errorf("got %s and version %q, want version %q", resp.Status, resp.Header.Get("X-Version"), want)
		}
	}
}
