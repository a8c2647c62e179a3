// Package bench_test measures the provider as Terraform runs it, each time
// next to the natural alternative and in turns with it, so that a machine that
// slows down slows both.
package bench_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/rig"
)

// BenchmarkStart measures the time from the start of the provider's process to
// the answer to its first call, and the size of its binary, next to a provider
// with one small resource. The metric "x-tiny" is our time divided by its time.
func BenchmarkStart(b *testing.B) {
	ours, tiny := build(b, "delivery", "."), build(b, "tiny", "./internal/bench/tiny")
	var oursTook, tinyTook time.Duration
	for b.Loop() {
		tinyTook += start(b, tiny)
		oursTook += start(b, ours)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(oursTook.Seconds()*1000/float64(b.N), "ms")
	b.ReportMetric(oursTook.Seconds()/tinyTook.Seconds(), "x-tiny")
	b.ReportMetric(megabytes(b, ours), "MB")
	b.ReportMetric(megabytes(b, tiny), "tiny-MB")
}

// build builds a provider as a release does, into a folder of its own.
func build(b *testing.B, name, pkg string) (path string) {
	b.Helper()
	path = filepath.Join(b.TempDir(), "terraform-provider-"+name)
	cmd := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, pkg)
	cmd.Dir = rig.Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return path
}

// start runs a provider until it has answered the call with which Terraform
// begins, and returns how long that took.
func start(b *testing.B, path string) time.Duration {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), path)
	// The magic cookie that Terraform passes to its plugins.
	cmd.Env = append(os.Environ(), "TF_PLUGIN_MAGIC_COOKIE=d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // says that it was killed
	}()

	// core protocol|provider protocol|network|address|grpc|...
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatalf("%s: handshake: %v", path, err)
	}
	handshake := strings.Split(line, "|")
	if len(handshake) < 5 {
		b.Fatalf("%s: handshake %q", path, line)
	}
	target := handshake[3]
	if handshake[2] == "unix" {
		target = "unix:" + target
	}
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // the provider is about to be gone
	// The request has no fields, and the answer's stay unread.
	if err := conn.Invoke(b.Context(), "/tfplugin6.Provider/GetProviderSchema", &emptypb.Empty{}, &emptypb.Empty{}); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

func megabytes(b *testing.B, path string) float64 {
	b.Helper()
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	return float64(info.Size()) / 1e6
}
