// Command strawberry is the service of the example. It returns its version, and has a
// health check.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// versionHeader is the response header with the version.
const versionHeader = "X-Version"

// manifest is the file that the provisioner delivery-manifest writes.
const manifest = "/etc/delivery/release.json"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, ":8080", manifest); err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx ends, and then finishes the open requests.
func run(ctx context.Context, address, manifest string) error {
	release, err := readRelease(manifest)
	if err != nil {
		return err
	}
	server := &http.Server{Addr: address, Handler: handler(release), ReadHeaderTimeout: 5 * time.Second}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		stopped <- server.Shutdown(grace)
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

// release describes the running version.
type release struct {
	Service string `json:"service"`
	Version string `json:"version"`
}

// readRelease reads the manifest. Without one, as outside of an image, the version is
// "unreleased".
func readRelease(path string) (release, error) {
	r := release{Service: "strawberry", Version: "unreleased"}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

func handler(r release) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(versionHeader, r.Version)
		w.WriteHeader(http.StatusOK)
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(versionHeader, r.Version)
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(r); err != nil {
			log.Print(err)
		}
	})
	return mux
}
