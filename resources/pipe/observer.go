package pipe

import "github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"

// observer logs what a run does.
type observer func(format string, args ...any)

// StepBegan implements pipe.Observer.
func (o observer) StepBegan(s pipe.StepSummary) { o("%s begins", s.Name) }

// StepPrinted implements pipe.Observer.
func (o observer) StepPrinted(step, line string) { o("%s | %s", step, line) }

// StepEnded implements pipe.Observer.
func (o observer) StepEnded(s pipe.StepSummary) { o("%s %s: %s", s.Name, s.Status, s.Message) }
