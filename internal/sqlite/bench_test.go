package sqlite_test

import (
	"bufio"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/sqlite"
)

// BenchmarkAllocate compares allocated versions per second with a bare loop that commits
// single rows, on the same file system and with the same durability. The two take turns, so
// that a slower machine slows down both. The metric "x-bare" is the ratio of the two.
func BenchmarkAllocate(b *testing.B) {
	const round = 256
	for _, goroutines := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", goroutines), func(b *testing.B) {
			s := openBench(b, filepath.Join(b.TempDir(), "delivery.db"))
			bare := bareLoop(b, filepath.Join(b.TempDir(), "bare.db"))
			compare(b, round, bare, func() []int64 {
				var (
					mu  sync.Mutex
					all []int64
					wg  sync.WaitGroup
				)
				for range goroutines {
					wg.Go(func() {
						numbers := allocateMany(b, s, round/goroutines)
						mu.Lock()
						defer mu.Unlock()
						all = append(all, numbers...)
					})
				}
				wg.Wait()
				return all
			})
		})
	}
	b.Run("processes=8", func(b *testing.B) {
		children := startAllocators(b, "allocate", filepath.Join(b.TempDir(), "delivery.db"), 8)
		bare := bareLoop(b, filepath.Join(b.TempDir(), "bare.db"))
		compare(b, round, bare, func() []int64 { return children.allocate(round / 8) })
	})
	// Here, the bare loop also competes with itself in eight processes.
	b.Run("processes=8/bare=8", func(b *testing.B) {
		children := startAllocators(b, "allocate", filepath.Join(b.TempDir(), "delivery.db"), 8)
		bare := startAllocators(b, "bare", filepath.Join(b.TempDir(), "bare.db"), 8)
		compare(b, round, func(n int) []int64 { return bare.allocate(n / 8) }, func() []int64 { return children.allocate(round / 8) })
	})
}

// compare measures rounds of the store and rounds of the bare loop.
func compare(b *testing.B, round int, bare func(n int) []int64, ours func() []int64) {
	bare(round)
	seen := map[int64]bool{}
	var oursTook, bareTook time.Duration
	for b.Loop() {
		start := time.Now()
		bare(round)
		bareTook += time.Since(start)

		start = time.Now()
		numbers := ours()
		oursTook += time.Since(start)
		for _, n := range numbers {
			if seen[n] {
				b.Fatalf("number %d was allocated twice", n)
			}
			seen[n] = true
		}
		if len(numbers) != round {
			b.Fatalf("got %d numbers of %d", len(numbers), round)
		}
	}
	commits := float64(round * b.N)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(commits/oursTook.Seconds(), "versions/s")
	b.ReportMetric(commits/bareTook.Seconds(), "bare/s")
	b.ReportMetric(bareTook.Seconds()/oursTook.Seconds(), "x-bare")
}

// bareLoop returns a function that commits single rows with a prepared statement.
func bareLoop(tb testing.TB, path string) func(n int) []int64 {
	db, err := sql.Open("sqlite",
		"file:"+path+"?_pragma=busy_timeout(60000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("CREATE TABLE IF NOT EXISTS numbers (n INTEGER PRIMARY KEY)"); err != nil {
		tb.Fatal(err)
	}
	insert, err := db.Prepare("INSERT INTO numbers DEFAULT VALUES")
	if err != nil {
		tb.Fatal(err)
	}
	return func(n int) (numbers []int64) {
		for range n {
			result, err := insert.Exec()
			if err != nil {
				tb.Fatal(err)
			}
			number, err := result.LastInsertId()
			if err != nil {
				tb.Fatal(err)
			}
			numbers = append(numbers, number)
		}
		return numbers
	}
}

func openBench(tb testing.TB, path string) builddata.Store {
	s, err := sqlite.Open(tb.Context(), path, clock.System{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

func allocateMany(tb testing.TB, s builddata.Store, n int) []int64 {
	numbers := make([]int64, 0, n)
	for range n {
		v, err := s.Allocate(tb.Context(), builddata.Allocation{Service: "web", Scheme: builddata.Sequence})
		if err != nil {
			tb.Error(err)
			return numbers
		}
		numbers = append(numbers, v.Number)
	}
	return numbers
}

// allocators are child processes that allocate on demand.
type allocators struct {
	tb  testing.TB
	in  []io.Writer
	out []*bufio.Reader
}

func startAllocators(tb testing.TB, how, path string, n int) *allocators {
	a := &allocators{tb: tb}
	for range n {
		cmd := exec.CommandContext(tb.Context(), os.Args[0], "-test.run=^TestAllocatorProcess$")
		cmd.Env = append(os.Environ(), "DELIVERY_TEST_ALLOCATOR="+how, "DELIVERY_TEST_REPOSITORY="+path)
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			tb.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			tb.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() {
			_ = in.Close()
			_ = cmd.Wait()
		})
		a.in, a.out = append(a.in, in), append(a.out, bufio.NewReader(out))
	}
	a.allocate(1) // wait until all have started
	return a
}

func (a *allocators) allocate(each int) (all []int64) {
	for _, in := range a.in {
		if _, err := fmt.Fprintln(in, each); err != nil {
			a.tb.Fatal(err)
		}
	}
	for _, out := range a.out {
		for range each {
			var n int64
			if _, err := fmt.Fscanln(out, &n); err != nil {
				a.tb.Fatal(err)
			}
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all
}

// TestAllocatorProcess is the child of startAllocators.
func TestAllocatorProcess(t *testing.T) {
	path := os.Getenv("DELIVERY_TEST_REPOSITORY")
	var numbers func(n int) []int64
	switch os.Getenv("DELIVERY_TEST_ALLOCATOR") {
	case "allocate":
		s := openBench(t, path)
		numbers = func(n int) []int64 { return allocateMany(t, s, n) }
	case "bare":
		numbers = bareLoop(t, path)
	default:
		return // this process is not a child
	}
	out := bufio.NewWriter(os.Stdout)
	for {
		var each int
		if _, err := fmt.Scanln(&each); err != nil {
			os.Exit(0) // the parent is done
		}
		for _, n := range numbers(each) {
			fmt.Fprintln(out, n) //nolint:errcheck // Flush reports it
		}
		if err := out.Flush(); err != nil {
			t.Fatal(err)
		}
	}
}
