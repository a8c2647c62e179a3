// Package load_test sends many requests to strawberry, at the URL in STRAWBERRY_URL.
package load_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"
)

const (
	users = 20
	each  = 100
)

func TestLoad(t *testing.T) {
	url := os.Getenv("STRAWBERRY_URL")
	if url == "" {
		t.Skip("STRAWBERRY_URL is not set")
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: users}}
	failures := make(chan error, users*each)
	var wait sync.WaitGroup
	for range users {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for range each {
				if err := get(client, url+"/"); err != nil {
					failures <- err
				}
			}
		}()
	}
	wait.Wait()
	t.Logf("%d requests, %d failed", users*each, len(failures))
	if len(failures) > 0 {
		t.Errorf("the first failure: %v", <-failures)
	}
}

func get(client *http.Client, url string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it has been read
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("got %s", resp.Status)
	}
	return nil
}
