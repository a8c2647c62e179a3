package pipe_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// Everything that leaves the engine is cleaned and then masked: a secret that is
// colored, or that has invisible characters in it, leaves by no channel.
func TestEngine_OneDoor(t *testing.T) {
	const secret = "correct-horse-battery"
	for name, hidden := range map[string]string{
		"Colored":    "correct-\x1b[01;31m\x1b[Khorse\x1b[m\x1b[K-battery",
		"NUL":        "correct-\x00horse-battery",
		"Return":     "correct-\rhorse-battery",
		"Backspace":  "correct-\bhorse-battery",
		"ZeroWidth":  "correct-\u200bhorse\u00ad-battery",
		"RightLeft":  "correct-\u202ehorse-battery",
		"Percent":    "correct%2Dhorse%2dbattery",
		"ByPieces":   "correct-horse-battery",
		"JSONEscape": `correct\u002dhorse-battery`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newHarness()
			s.Mask = pipe.NewMask([]string{"NEXUS_PASSWORD=" + secret}, nil)
			log := &strings.Builder{}
			s.Log = func(string) (io.WriteCloser, string, error) { return nopCloser{log}, "step.log", nil }
			p := &pipe.Pipe{Name: "p", Main: steps("give", "fail")}
			p.Main[0].Args = map[string]pipe.Value{"text": {Data: hidden}, "table": {Data: map[string]pipe.Value{"Key " + hidden: {Data: "x"}}}}
			s.act["give"] = func(context.Context, *pipe.Call) (pipe.Result, error) {
				return pipe.Result{
					Outputs: map[string]string{"note": "a " + hidden}, Message: "b " + hidden, Report: `["c", ` + fmt.Sprintf("%q", hidden) + `]`,
					Warnings: []string{"d " + hidden},
				}, nil
			}
			s.act["fail"] = func(_ context.Context, c *pipe.Call) (pipe.Result, error) {
				for _, b := range []byte("e " + hidden + " f\nend\n") {
					if _, err := c.Output.Write([]byte{b}); err != nil {
						return pipe.Result{}, err
					}
				}
				return pipe.Result{Report: "g " + hidden}, errors.New("h " + c.Mask(hidden) + " i " + hidden)
			}
			summary := s.run(t, pipe.Request{Pipe: p, Values: pipe.Values{"given": hidden}})
			all := fmt.Sprintf("%+v %+v %+v %q %s", summary, s.events, s.runs, s.lines, log)
			for _, run := range s.runs {
				all += string(run.Definition)
			}
			for what, shown := range map[string]string{"as it is": all, "as a terminal shows it": text.Clean(all)} {
				for _, form := range []string{secret, hidden, "horse-", "rse-batt"} {
					if i := strings.Index(shown, form); i >= 0 {
						t.Errorf("%s, %q is shown: …%q…", what, form, shown[max(0, i-60):min(len(shown), i+40)])
					}
				}
			}
			for what, got := range map[string]string{
				"message": summary.Steps[0].Message, "warning": summary.Steps[0].Warnings[0], "tail": summary.Steps[1].Tail,
				"line": s.lines[0], "log": log.String(), "failure": summary.Steps[1].Message, "report": summary.Steps[1].Report,
			} {
				if !strings.Contains(got, pipe.Masked) {
					t.Errorf("the %s is %q", what, got)
				}
			}
		})
	}
}

// A value that holds a secret is not altered: it goes to later steps as it is, and
// is neither shown nor stored.
func TestEngine_Withheld(t *testing.T) {
	s := newHarness()
	s.Mask = pipe.NewMask([]string{"NEXUS_PASSWORD=hunter22", "NO_AUTH=true"}, nil)
	got := map[string]string{}
	s.act["give"] = func(context.Context, *pipe.Call) (pipe.Result, error) {
		return pipe.Result{Outputs: map[string]string{
			"url": "https://ada:hunter22@h/", "plain": "a\tvalue\r\nof \x1b[31mtwo lines", "admin_password": "made-by-the-step", "strict": "true",
		}}, nil
	}
	s.act["use"] = func(_ context.Context, c *pipe.Call) (pipe.Result, error) {
		got = c.Values
		_, err := fmt.Fprintln(c.Output, "with made-by-the-step and https://ada:hunter22@h/")
		return pipe.Result{}, err
	}
	summary := s.run(t, pipe.Request{Pipe: &pipe.Pipe{Name: "p", Main: steps("give", "use")}, Values: pipe.Values{
		"my_password": "from-delivery-yml", "endpoint": "amqp://u:generated-word@mq/", "jdk": "21",
	}})
	if got["url"] != "https://ada:hunter22@h/" || got["admin_password"] != "made-by-the-step" {
		t.Errorf("the next step got %q", got)
	}
	want := pipe.StepSummary{
		Outputs:  map[string]string{"plain": "a\tvalue\r\nof \x1b[31mtwo lines", "strict": "true"},
		Withheld: []string{"admin_password", "url"}, Warnings: []string{"the output url holds a secret, so it is neither shown nor stored"},
	}
	step := summary.Steps[0]
	if diff := cmp.Diff(pipe.StepSummary{Outputs: step.Outputs, Withheld: step.Withheld, Warnings: step.Warnings}, want); diff != "" {
		t.Error(diff)
	}
	context := s.runs[0].Context
	if _, ok := context["my_password"]; ok || context["jdk"] != "21" || context["endpoint"] != "" {
		t.Errorf("the run is stored with %q", context)
	}
	for _, e := range s.events {
		if e.Status == builddata.Succeeded && e.Step == "give" {
			if diff := cmp.Diff(e.Outputs, want.Outputs); diff != "" {
				t.Error(diff)
			}
		}
	}
	if s.lines[0] != "use: with *** and https://ada:***@h/" {
		t.Errorf("got %q", s.lines)
	}
}

// A secret that cannot be masked is warned of once.
func TestEngine_WeakSecrets(t *testing.T) {
	s := newHarness()
	s.act["give"] = func(context.Context, *pipe.Call) (pipe.Result, error) {
		return pipe.Result{Outputs: map[string]string{"db_password": "postgres", "pin_token": "1234"}}, nil
	}
	summary := s.run(t, pipe.Request{Pipe: &pipe.Pipe{Name: "p", Main: steps("give", "use")}})
	if got := summary.Steps[0].Warnings; len(got) != 2 || len(summary.Steps[1].Warnings) > 0 || len(summary.Steps[0].Outputs) > 0 {
		t.Errorf("got %+v", summary.Steps)
	}
}

// An output that its step lists in secrets is masked and withheld from then on, and a secret
// that a step makes from when it says so.
func TestEngine_SecretsOfSteps(t *testing.T) {
	s := newHarness()
	log := &strings.Builder{}
	s.Log = func(string) (io.WriteCloser, string, error) { return nopCloser{log}, "step.log", nil }
	p := &pipe.Pipe{Name: "p", Main: steps("give", "use|fail")}
	p.Main[0].Outputs, p.Main[0].Secrets = []string{"licence", "plain"}, []string{"licence"}
	s.act["give"] = func(_ context.Context, c *pipe.Call) (pipe.Result, error) {
		c.AddSecret("one", "made-at-run-time")
		c.AddSecret("other", "abc")
		_, err := fmt.Fprintln(c.Output, "with made-at-run-time")
		return pipe.Result{
			Outputs: map[string]string{"licence": "AAAA-BBBB-CCCC", "plain": "seen"}, Message: "made-at-run-time", Report: `["AAAA-BBBB-CCCC"]`,
		}, err
	}
	got := ""
	s.act["use"] = func(_ context.Context, c *pipe.Call) (pipe.Result, error) {
		got = c.Values["licence"]
		return pipe.Result{Outputs: map[string]string{"copy": "of AAAA-BBBB-CCCC"}}, nil
	}
	s.act["fail"] = func(_ context.Context, c *pipe.Call) (pipe.Result, error) {
		_, err := fmt.Fprintln(c.Output, "has AAAA-BBBB-CCCC and made-at-run-time")
		return pipe.Result{}, errors.Join(errors.New("not AAAA-BBBB-CCCC"), err)
	}
	summary := s.run(t, pipe.Request{Pipe: p})
	all := fmt.Sprintf("%+v %+v %+v %q %s", summary, s.events, s.runs, s.lines, log)
	for _, secret := range []string{"AAAA", "made-at"} {
		if i := strings.Index(all, secret); i >= 0 {
			t.Errorf("%s is shown: …%s…", secret, all[max(0, i-60):min(len(all), i+40)])
		}
	}
	give := summary.Steps[0]
	if diff := cmp.Diff(give.Outputs, map[string]string{"plain": "seen"}); diff != "" || got != "AAAA-BBBB-CCCC" {
		t.Errorf("got %q, and stored (-), want (+):\n%s", got, diff)
	}
	if diff := cmp.Diff(give.Warnings, []string{"the secret other is not masked, since it is too short"}); diff != "" {
		t.Error(diff)
	}
	if len(s.lines) != 2 || s.lines[0] != "give: with ***" || s.lines[1] != "fail: has *** and ***" {
		t.Errorf("got %q", s.lines)
	}
}
