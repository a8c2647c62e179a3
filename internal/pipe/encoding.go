package pipe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// UnmarshalJSON reads what a run's record holds of its pipe: numbers come back
// in the types that a Value has.
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

// Decode reads the definition of a pipe in a run's record.
func Decode(definition []byte) (*Pipe, error) {
	var p Pipe
	if err := json.Unmarshal(definition, &p); err != nil {
		return nil, fmt.Errorf("the definition of the pipe: %w", err)
	}
	return &p, nil
}
