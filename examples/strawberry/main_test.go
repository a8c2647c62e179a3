package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHandler(t *testing.T) {
	path := filepath.Join(t.TempDir(), "release.json")
	if err := os.WriteFile(path, []byte(`{"service": "strawberry", "version": "17"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ manifest, want string }{
		"Released":   {path, `{"service":"strawberry","version":"17"}`},
		"Unreleased": {path + ".none", `{"service":"strawberry","version":"unreleased"}`},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := readRelease(tt.manifest)
			if err != nil {
				t.Fatal(err)
			}
			for target, want := range map[string]string{"/": tt.want, "/health": ""} {
				w := httptest.NewRecorder()
				handler(r).ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
				if got := strings.TrimSpace(w.Body.String()); w.Code != http.StatusOK || got != want {
					t.Errorf("%s: got %d with %s, want 200 with %s", target, w.Code, got, want)
				}
			}
		})
	}
}
