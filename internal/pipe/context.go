package pipe

import (
	"maps"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// ContextAt returns the context that a step had in an earlier run: the values that the run
// began with, and the outputs of the steps before it, from the run's events.
func (p *Pipe) ContextAt(step string, began map[string]string, events []builddata.Event) Values {
	outputs := map[string]map[string]string{}
	for _, e := range events {
		if e.Status == builddata.Succeeded {
			outputs[e.Step] = e.Outputs
		}
	}
	values := Values(began).Clone()
	var visit func(steps []Step, values Values) bool
	visit = func(steps []Step, values Values) bool {
		for i := range steps {
			if steps[i].Task != "" {
				if steps[i].Name == step {
					return true
				}
				maps.Copy(values, outputs[steps[i].Name])
			}
			for _, branch := range steps[i].Parallel {
				own := values.Clone()
				if visit(branch, own) {
					maps.Copy(values, own)
					return true
				}
			}
		}
		return false
	}
	for _, section := range Sections {
		if visit(p.Section(section), values) {
			break
		}
	}
	return values
}

// Withheld says where a value was set that was not stored.
type Withheld struct{ Step, Run string }

// Withheld returns the values that the steps of an earlier run of the pipe have set, but
// that were not stored with its events.
func (p *Pipe) Withheld(events []builddata.Event) map[string]Withheld {
	withheld := map[string]Withheld{}
	for _, e := range events {
		_, step, err := p.Find(e.Step)
		if err != nil || e.Status != builddata.Succeeded {
			continue
		}
		for _, name := range step.Outputs { // it would not have succeeded without them
			if _, ok := e.Outputs[name]; !ok {
				withheld[name] = Withheld{Step: e.Step, Run: e.Run}
			}
		}
	}
	return withheld
}
