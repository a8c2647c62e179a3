package pipe

import "fmt"

// route is the path to the step that a run ends at: the parallel steps around it, from the
// outside in, and the step itself. A nil route includes all steps.
type route []*Step

// routeTo returns the route to a step; nil if it is not among the steps.
func routeTo(steps []Step, to *Step) route {
	for i := range steps {
		if &steps[i] == to {
			return route{to}
		}
		for _, branch := range steps[i].Parallel {
			if rest := routeTo(branch, to); rest != nil {
				return append(route{&steps[i]}, rest...)
			}
		}
	}
	return nil
}

// enter reports whether the run ends at the step or inside of it, and returns the rest of
// the route inside of it.
func (r route) enter(step *Step) (inside route, ends bool) {
	if len(r) == 0 || r[0] != step {
		return nil, false
	}
	return r[1:], true
}

// includes reports whether a branch runs: if the route leads into one of the branches, the
// others do not.
func (r route) includes(branch []Step) bool {
	if len(r) == 0 {
		return true
	}
	for i := range branch {
		if &branch[i] == r[0] {
			return true
		}
	}
	return false
}

// Find returns the step with a name and its section. If there is none, the error is a
// *Diagnostic that suggests the nearest name.
func (p *Pipe) Find(name string) (Section, *Step, error) {
	var all []string
	for section, step := range p.Tasks() {
		if step.Name == name {
			return section, step, nil
		}
		all = append(all, step.Name)
	}
	return "", nil, &Diagnostic{At: p.At, Problem: fmt.Sprintf("the pipe %s has no step %q%s; \"delivery pipe show %s\" lists its steps",
		p.Name, name, suggest(name, all), p.Name)}
}
