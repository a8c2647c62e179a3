package pipe

// Lacking is what a step needs of the machine and does not find. A field is empty if nothing
// of its kind is missing.
type Lacking struct {
	// Folder is a folder that does not exist, as the step names it.
	Folder string
	// Program is a program that is not on PATH.
	Program string
}

// LackingStep is a step that lacks something, and the position of the argument that names it.
type LackingStep struct {
	Step *Step
	At   Position
	Lacking
}

// Lacking lists what the steps of the sections first and main lack before the run, up to the
// step to, or of the step only, if these are not empty. What depends on values that are not
// set yet is not known; a step whose condition is false by then, or not known, is left out.
// The call has what all steps have in common.
func (p *Pipe) Lacking(registry Registry, language Language, call Call, to, only string) []LackingStep {
	var all []LackingStep
	scope := scope{Values: call.Values, language: language, environ: call.Environ}
	for section, step := range p.Tasks() {
		if section == Last {
			break
		}
		d, _ := registry.Task(step.Task)
		if (only == "" || only == step.Name) && d.Lacking != nil && scope.holds(step) {
			call.Step, call.Task, call.Args = step.Name, step.Task, nil
			known := scope.knownArgs(step, d)
			call.Args = known
			lacks := d.Lacking(&call, func(name string) bool {
				_, written := step.Args[name]
				return !written || known.Has(name)
			})
			if lacks != (Lacking{}) {
				at := step.At
				if folder, ok := step.Args["folder"]; ok && lacks.Folder != "" {
					at = folder.At
				}
				all = append(all, LackingStep{Step: step, At: at, Lacking: lacks})
			}
		}
		if to != "" && step.Name == to {
			break
		}
	}
	return all
}

// holds reports whether the condition of a step holds by the values that are known.
func (s scope) holds(step *Step) bool {
	if step.When.IsZero() {
		return true
	}
	text, err := s.text(step.When)
	return err == nil && True(text)
}

// knownArgs evaluates the arguments of a step that do not depend on values that are not set.
func (s scope) knownArgs(step *Step, d Definition) Args {
	known := Args{}
	for name, value := range step.Args {
		one, err := s.args(&Step{Args: map[string]Value{name: value}}, d)
		if err == nil {
			known[name] = one[name]
		}
	}
	return known
}
