package pipe_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// BenchmarkMask sets the mask beside one bytes.ReplaceAll for each form of each
// secret, which would miss those that come in pieces. The metric "x-replace" is
// our time divided by its.
func BenchmarkMask(b *testing.B) {
	m := pipe.NewMask(nil, nil)
	var forms [][]byte
	for i := range 5 {
		secret := fmt.Sprintf("secret-number-%d", i)
		m.Add("x", secret)
		forms = append(forms, []byte(secret), []byte(secret+"="))
	}
	chunk := []byte(strings.Repeat("a line of output that holds nothing to hide\n", 700))
	w := m.Writer(io.Discard)
	b.SetBytes(int64(len(chunk)))
	var ours, theirs time.Duration
	for b.Loop() {
		start := time.Now()
		if _, err := w.Write(chunk); err != nil {
			b.Fatal(err)
		}
		middle := time.Now()
		text := chunk
		for _, form := range forms {
			text = bytes.ReplaceAll(text, form, []byte(pipe.Masked))
		}
		ours, theirs = ours+middle.Sub(start), theirs+time.Since(middle)
	}
	b.ReportMetric(ours.Seconds()/theirs.Seconds(), "x-replace")
}
