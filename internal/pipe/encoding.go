package pipe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// UnmarshalJSON reads a value from a run's record. It restores the types of a Value, in
// which integers are int64.
func (v *Value) UnmarshalJSON(text []byte) error {
	var shape struct {
		At   Position        `json:"at"`
		Data json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(text, &shape); err != nil {
		return err
	}
	v.At, v.Data = shape.At, nil
	data := bytes.TrimSpace(shape.Data)
	if len(data) == 0 {
		return nil
	}
	switch data[0] {
	case '[':
		var list []Value
		err := json.Unmarshal(data, &list)
		v.Data = list
		return err
	case '{':
		var table map[string]Value
		err := json.Unmarshal(data, &table)
		v.Data = table
		return err
	}
	var scalar any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&scalar); err != nil {
		return err
	}
	number, ok := scalar.(json.Number)
	if !ok {
		v.Data = scalar
		return nil
	}
	if n, err := strconv.ParseInt(number.String(), 10, 64); err == nil {
		v.Data = n
		return nil
	}
	f, err := number.Float64()
	v.Data = f
	return err
}

// format is the number of the format of a pipe in a run's record. When it changes, a sample
// of the previous format stays in testdata, and Decode still reads it. In format 1, pipes have
// no timeouts, steps neither allow_failure nor secrets, and branches no max_parallel.
const format = 2

// stored is the encoding of a pipe in a run's record.
type stored struct {
	Format int `json:"format"`
	*Pipe
}

// Encode returns the definition of a pipe for a run's record. Durations are in
// nanoseconds, and the names of their keys end in _ns.
func Encode(p *Pipe) ([]byte, error) { return json.Marshal(stored{Format: format, Pipe: p}) }

// Decode reads the definition of a pipe in a run's record.
func Decode(definition []byte) (*Pipe, error) {
	s := stored{Pipe: &Pipe{}}
	if err := json.Unmarshal(definition, &s); err != nil {
		return nil, fmt.Errorf("decode the definition of the pipe: %w", err)
	}
	if s.Format < 1 || s.Format > format {
		return nil, fmt.Errorf("the definition of the pipe has format %d, and this release reads formats 1 to %d: use the release that ran it",
			s.Format, format)
	}
	return s.Pipe, nil
}
