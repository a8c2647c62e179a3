package task

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
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
		case !pipe.ValueName.MatchString(name):
			return nil, badOutput(number, text, fmt.Sprintf("%q cannot be the name of a value: use letters, digits, underscores and dots, and no spaces around =", clip(name, 40)))
		case slices.Contains(reserved, name):
			return nil, badOutput(number, text, name+" is what the run knows by itself, and cannot be set: use another name")
		}
		outputs[name] = value
	}
	return outputs, nil
}

func badOutput(number int, text, why string) error {
	return fmt.Errorf("line %d of what was written to $%s, %q: %s", number, outputVariable, clip(text, 60), why)
}

// reserved are values that only the run itself sets.
var reserved = []string{
	pipe.ValueService, pipe.ValueVersion, pipe.ValueNumber, pipe.ValueRun, pipe.ValuePipe, pipe.ValueRevision, pipe.ValueStatus, pipe.ValueFailedStep,
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
