package pipe

import "fmt"

// route is the way to the step at which a run is to end: the parallel steps
// that lead there, and the step itself. Nil goes to the end.
type route []*Step

// routeTo returns the route to a step.
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

// at reports whether the route ends at a step or in it, and how it goes on there.
func (r route) at(step *Step) (inside route, ends bool) {
	if len(r) == 0 || r[0] != step {
		return nil, false
	}
	return r[1:], true
}

// enters reports whether a run takes a branch: if the route leads into one of
// the branches, the others are not on the way.
func (r route) enters(branch []Step) bool {
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

// Find returns the step of a name and its section, or a *Diagnostic that suggests
// the nearest.
func (p *Pipe) Find(name string) (Section, *Step, error) {
	var all []string
	for section, step := range p.Tasks() {
		if step.Name == name {
			return section, step, nil
		}
		all = append(all, step.Name)
	}
	return "", nil, &Diagnostic{At: p.At, Problem: fmt.Sprintf("the pipe %s has no step %q%s; \"delivery pipe show %s\" lists its steps", p.Name, name, suggest(name, all), p.Name)}
}
