package rollout

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// Plans and results are stored as JSON, with the number of their format. Any
// change of the encoding, even a new key, takes the next number: a process that
// ignored what it does not know would finish a rollout in another way than was
// planned. testdata holds a sample of each format.
//
// Durations are in nanoseconds, and the names of their keys end in _ns.
//
// Format 2 added the number of a launch template's version. Format 3 added the tags that are
// ignored, user data that is not text, further conditions of a rule, and the step WaitOpen.
// Format 4 added how servers are launched (key, volumes, hop limit, monitoring, mixed
// instances, rebalancing), the note that no server was started, attachments with their steps,
// the setting for alarm actions, the preview, the checks and the alarms of the new generation,
// with their steps, port and protocol of health checks, the priority 0 of a rule that may have
// any, what is taken over, with its step, and further rules.
// Formats from 1 on are read.
const (
	format   = 4
	earliest = 1
)

type storedPlan struct {
	Format int `json:"format"`
	Plan
}

type storedResult struct {
	Format int `json:"format"`
	Inventory
}

func encodePlan(p Plan) ([]byte, error) { return json.Marshal(storedPlan{Format: format, Plan: p}) }

func encodeResult(i Inventory) ([]byte, error) {
	return json.Marshal(storedResult{Format: format, Inventory: i})
}

// decodePlan reads the plan that Begin stored.
func decodePlan(r builddata.Rollout) (Plan, error) {
	var stored storedPlan
	if err := decode(r.Plan, &stored); err != nil {
		return Plan{}, fmt.Errorf("the plan of rollout %s cannot be read: %w", r.ID, err)
	}
	return stored.Plan, nil
}

// decodeResult reads the result that End stored.
func decodeResult(r builddata.Rollout) (Inventory, error) {
	var stored storedResult
	if err := decode(r.Result, &stored); err != nil {
		return Inventory{}, fmt.Errorf("the result of rollout %s cannot be read: %w", r.ID, err)
	}
	return stored.Inventory, nil
}

func decode(encoded []byte, into any) error {
	var stored struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(encoded, &stored); err != nil {
		return err
	}
	switch {
	case stored.Format > format:
		return fmt.Errorf("it has format %d, and this program knows formats up to %d; "+
			"use the version of the delivery provider and CLI that wrote it, or a later one", stored.Format, format)
	case stored.Format < earliest:
		return fmt.Errorf("it has format %d, and this program knows formats from %d on; "+
			"start a new build data repository and import the clusters that exist", stored.Format, earliest)
	}
	strict := json.NewDecoder(bytes.NewReader(encoded))
	strict.DisallowUnknownFields()
	return strict.Decode(into)
}
