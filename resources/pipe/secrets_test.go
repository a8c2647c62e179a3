package pipe_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/acctest"
	plain "github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// A sensitive value that a step prints with colors or invisible characters in it
// is in no diagnostic, no log and no state.
func TestAccPipeRun_HiddenSecrets(t *testing.T) {
	e := acctest.NewWithoutAWS(t)
	c := newCheckout(t, `
main:
  - name: leak
    do: build.command
    command: |
      echo "${{ licence }}" | grep --color=always -- top
      sh leak.sh "${{ licence }}"
      echo "note=of ${{ licence }}" >> "$DELIVERY_OUTPUT"
      test -z "${{ fails ?? '' }}"
`)
	c.write(t, "leak.sh", `printf '%s\n' "$1" | sed 's/top/t\x00o\x1b[Kp\xe2\x80\x8b/'`+"\n"+`printf '%s\n' "$1" | base64`+"\n")
	c.push(t)
	w := acctest.NewWorkspace(t, "variable \"fails\" { default = \"\" }\nvariable \"licence\" {\n  sensitive = true\n  ephemeral = true\n}\n"+
		e.Provider()+c.run("values = { fails = var.fails }\n  sensitive_values = { licence = var.licence }"))
	const licence = "lic-top-secret-42"
	w.Environ = []string{"XDG_STATE_HOME=" + t.TempDir(), "TF_VAR_licence=" + licence, "TF_LOG_PROVIDER=INFO"}
	out, err := w.Run(t.Context(), "apply", "-auto-approve", "-no-color")
	fatal(t, err)
	state, err := os.ReadFile(filepath.Join(w.Folder(), "terraform.tfstate"))
	fatal(t, err)
	bad, err := w.Run(t.Context(), "apply", "-auto-approve", "-no-color", "-var", "fails=1")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || strings.Count(bad, "***") < 3 {
		t.Errorf("got %v, want the step's output without secrets\n%s", err, bad)
	}
	for what, shown := range map[string]string{"the output": out, "the diagnostics": bad, "the state": string(state)} {
		for _, form := range []string{licence, "lic-t", "top-secret", "secret-42", "bGljLXRvcC1zZWNyZXQtNDI"} {
			if strings.Contains(shown, form) || strings.Contains(plain.Clean(shown), form) {
				t.Errorf("%s holds %s:\n%s", what, form, shown)
			}
		}
	}
}
