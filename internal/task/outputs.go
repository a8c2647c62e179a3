package task

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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

// readOutputs reads the file of outputs, in which errors quote only what mask lets
// through: lines name=value, or
//
//	name<<END
//	a value of
//	several lines
//	END
func readOutputs(ctx context.Context, path string, mask func(string) string) (map[string]string, error) {
	var data []byte
	err := readFile(ctx, filepath.Dir(path), filepath.Base(path), maxOutputs, func(r io.Reader) (err error) {
		data, err = io.ReadAll(r)
		return err
	})
	var tooLarge *tooLargeError
	if errors.As(err, &tooLarge) {
		return nil, fmt.Errorf("the file $%s has more than %d bytes: it is for short values, not for files", outputVariable, maxOutputs)
	}
	if err != nil {
		return nil, fmt.Errorf("read the file $%s: %w", outputVariable, err)
	}
	return parseOutputs(string(data), mask)
}

func parseOutputs(content string, mask func(string) string) (map[string]string, error) {
	badOutput := func(number int, line, problem string) error {
		return fmt.Errorf("invalid line %d in the file $%s, %q: %s", number, outputVariable, text.Clip(mask(line), 60), problem)
	}
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
			return nil, badOutput(number, line, fmt.Sprintf("%q cannot be set: %s", text.Clip(mask(name), 40), pipe.NotSettable(name)))
		}
		outputs[name] = value
	}
	return outputs, nil
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

// outputFiles are the files for the outputs and secrets of programs. A used one is emptied
// and used again, since making a file takes longer than many programs run.
type outputFiles struct {
	mu   sync.Mutex
	free []string
	// made are the files as they were made: a program may have put another file, or a
	// link to one, in the place of its own.
	made map[string]fs.FileInfo
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
	if err != nil {
		return "", fmt.Errorf("make a file for the outputs of the command: %w", err)
	}
	info, err := file.Stat()
	if err := errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("make a file for the outputs of the command: %w", err)
	}
	if o.made == nil {
		o.made = map[string]fs.FileInfo{}
	}
	o.made[file.Name()] = info
	return file.Name(), nil
}

// put gives a file back for other steps to use, unless its folder is not removed
// with the run, or a process that was left behind may still write to it.
func (o *outputFiles) put(file, folder string, ended process.Ended) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if folder == "" || ended.LeftBehind || ended.Forced {
		return os.RemoveAll(file)
	}
	info, err := os.Lstat(file)
	if err == nil && (!info.Mode().IsRegular() || !os.SameFile(info, o.made[file])) {
		err = errors.New("the program changed more than its content")
	}
	if err == nil && info.Size() > 0 {
		err = os.Truncate(file, 0)
	}
	if err != nil {
		return os.RemoveAll(file)
	}
	o.free = append(o.free, file)
	return nil
}
