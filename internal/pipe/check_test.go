package pipe_test

import (
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

func TestCheck(t *testing.T) {
	at := pipe.Position{Path: "pipe.yml", Line: 3, Column: 5}
	for name, tt := range map[string]struct {
		step pipe.Step
		want string
	}{
		"Word":      {pipe.Step{Task: "strict", Args: map[string]pipe.Value{"needed": {Data: "x"}, "word": {At: at, Data: "those"}}}, `pipe.yml:3:5: step "strict": the argument word of strict is "those"; use one of this, that`},
		"SomeWord":  {pipe.Step{Task: "strict", Args: map[string]pipe.Value{"needed": {Data: "x"}, "word": {At: at, Data: "${{ revision }}"}}}, ""},
		"Reserved":  {pipe.Step{Task: "work", At: at, Outputs: []string{"version"}}, `pipe.yml:3:5: step "work": version cannot be one of its outputs: it is what the run knows by itself`},
		"Variable":  {pipe.Step{Task: "work", At: at, Outputs: []string{"env.HOME"}}, `pipe.yml:3:5: step "work": env.HOME cannot be one of its outputs: names that begin with env. are those of environment variables`},
		"ItsOutput": {pipe.Step{Task: "strict", Args: map[string]pipe.Value{"needed": {Data: "x"}}, Outputs: []string{"made"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := pipe.Check(&pipe.Pipe{Name: "p", Main: []pipe.Step{tt.step}}, newStage().library, nil); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
