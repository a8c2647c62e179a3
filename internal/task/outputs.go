package task

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/process"
)

// outputVariable names the file to which a program writes the values that it
// gives back.
const outputVariable = "DELIVERY_OUTPUT"

// maxOutputs bounds that file.
const maxOutputs = 1 << 20

// readOutputs reads the file of values: lines name=value, or
//
//	name<<END
//	a value of
//	several lines
//	END
func readOutputs(path string) (map[string]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read what was written to $%s: %w", outputVariable, err)
	}
	defer file.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(io.LimitReader(file, maxOutputs+1))
	if err != nil {
		return nil, fmt.Errorf("read what was written to $%s: %w", outputVariable, err)
	}
	if len(data) > maxOutputs {
		return nil, fmt.Errorf("more than %d bytes were written to $%s: it takes values, no files", maxOutputs, outputVariable)
	}
	return parseOutputs(string(data))
}

func parseOutputs(text string) (map[string]string, error) {
	outputs := map[string]string{}
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		number, text := i+1, lines[i]
		if strings.TrimSpace(text) == "" {
			continue
		}
		name, value, found := strings.Cut(text, "=")
		if before, end, several := strings.Cut(text, "<<"); several && (!found || len(before) < len(name)) {
			if name = before; end == "" {
				return nil, badOutput(number, text, "the word that ends the value is missing behind <<")
			}
			length := slices.Index(lines[i+1:], end)
			if length < 0 {
				return nil, badOutput(number, text, fmt.Sprintf("the line %s, which ends the value, does not follow", end))
			}
			value, found = strings.Join(lines[i+1:i+1+length], "\n"), true
			i += length + 1
		}
		switch {
		case !found:
			return nil, badOutput(number, text, "expected name=value")
		case pipe.NotSettable(name) != "":
			return nil, badOutput(number, text, fmt.Sprintf("%q cannot be set: %s", clip(name, 40), pipe.NotSettable(name)))
		}
		outputs[name] = value
	}
	return outputs, nil
}

func badOutput(number int, text, why string) error {
	return fmt.Errorf("line %d of what was written to $%s, %q: %s", number, outputVariable, clip(text, 60), why)
}

// kept fails a step that did not set what it promised.
func kept(c *pipe.Call, outputs map[string]string) error {
	for _, name := range c.Declared {
		if _, ok := outputs[name]; !ok {
			return fmt.Errorf("declared output %s was not set: have the command write the line %s=VALUE to the file $%s", name, name, outputVariable)
		}
	}
	return nil
}

// outputFiles are the files for what programs give back. One that was used is
// emptied and used again, since making a file takes longer than many a program.
type outputFiles struct {
	mu   sync.Mutex
	free []string
}

// take returns the path of an empty file that nobody else uses.
func (o *outputFiles) take(folder string) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if last := len(o.free) - 1; last >= 0 && filepath.Dir(o.free[last]) == filepath.Clean(folder) {
		file := o.free[last]
		o.free = o.free[:last]
		return file, nil
	}
	file, err := os.CreateTemp(folder, "output-")
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		return "", fmt.Errorf("make a file for what the command gives back: %w", err)
	}
	return file.Name(), nil
}

// give returns a file for others to use, unless its folder does not go with the
// run, or somebody who was left behind may still write to it.
func (o *outputFiles) give(file, folder string, ended process.Ended) error {
	if folder == "" || ended.LeftBehind || ended.Forced {
		return os.Remove(file)
	}
	info, err := os.Stat(file)
	if err == nil && info.Size() > 0 {
		err = os.Truncate(file, 0)
	}
	if err != nil {
		return os.Remove(file) // whoever wrote to it has changed more than that
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.free = append(o.free, file)
	return nil
}
