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
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// outputVariable names the file to which a program writes its outputs.
const outputVariable = "DELIVERY_OUTPUT"

// maxOutputs bounds that file.
const maxOutputs = 1 << 20

// readOutputs reads the file of outputs: lines name=value, or
//
//	name<<END
//	a value of
//	several lines
//	END
func readOutputs(path string) (map[string]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the file $%s: %w", outputVariable, err)
	}
	defer file.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(io.LimitReader(file, maxOutputs+1))
	if err != nil {
		return nil, fmt.Errorf("read the file $%s: %w", outputVariable, err)
	}
	if len(data) > maxOutputs {
		return nil, fmt.Errorf("the file $%s has more than %d bytes: it is for short values, not for files", outputVariable, maxOutputs)
	}
	return parseOutputs(string(data))
}

func parseOutputs(content string) (map[string]string, error) {
	outputs := map[string]string{}
	lines := strings.Split(strings.ReplaceAll(content, "\r\n", "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		number, line := i+1, lines[i]
		if strings.TrimSpace(line) == "" {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		if before, end, several := strings.Cut(line, "<<"); several && (!found || len(before) < len(name)) {
			if name = before; end == "" {
				return nil, badOutput(number, line, "the word that ends the value is missing after <<")
			}
			length := slices.Index(lines[i+1:], end)
			if length < 0 {
				return nil, badOutput(number, line, fmt.Sprintf("the line %s, which ends the value, is missing", end))
			}
			value, found = strings.Join(lines[i+1:i+1+length], "\n"), true
			i += length + 1
		}
		switch {
		case !found:
			return nil, badOutput(number, line, "expected name=value")
		case pipe.NotSettable(name) != "":
			return nil, badOutput(number, line, fmt.Sprintf("%q cannot be set: %s", text.Clip(name, 40), pipe.NotSettable(name)))
		}
		outputs[name] = value
	}
	return outputs, nil
}

func badOutput(number int, line, problem string) error {
	return fmt.Errorf("invalid line %d in the file $%s, %q: %s", number, outputVariable, text.Clip(line, 60), problem)
}

// checkDeclared fails a step that did not set an output it declares.
func checkDeclared(c *pipe.Call, outputs map[string]string) error {
	for _, name := range c.Declared {
		if _, ok := outputs[name]; !ok {
			return fmt.Errorf("declared output %s was not set: let the command write the line %s=VALUE to the file $%s",
				name, name, outputVariable)
		}
	}
	return nil
}

// outputFiles are the files for the outputs of programs. A used one is emptied
// and used again, since making a file takes longer than many programs run.
type outputFiles struct {
	mu   sync.Mutex
	free []string
}

// take returns the path of an empty file that no other step uses.
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
		return "", fmt.Errorf("make a file for the outputs of the command: %w", err)
	}
	return file.Name(), nil
}

// put gives a file back for other steps to use, unless its folder is not removed
// with the run, or a process that was left behind may still write to it.
func (o *outputFiles) put(file, folder string, ended process.Ended) error {
	if folder == "" || ended.LeftBehind || ended.Forced {
		return os.Remove(file)
	}
	info, err := os.Stat(file)
	if err == nil && info.Size() > 0 {
		err = os.Truncate(file, 0)
	}
	if err != nil {
		return os.Remove(file) // the program changed more than its content
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.free = append(o.free, file)
	return nil
}
