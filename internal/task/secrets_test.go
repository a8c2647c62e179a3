package task_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/pipe"
)

// A program says by $DELIVERY_SECRETS what is masked in all that it prints after that.
func TestCommand_Secrets(t *testing.T) {
	for name, tt := range map[string]struct {
		command string
		// printed is what is shown, apart from the command.
		printed string
		err     string
	}{
		"Line":       {`echo gen-er-ated >> "$DELIVERY_SECRETS"; echo "a gen-er-ated b"`, "a *** b\n", ""},
		"NoNewline":  {`printf %s gen-er-ated >> "$DELIVERY_SECRETS"; echo "a gen-er-ated b" >&2`, "a *** b\n", ""},
		"Several":    {`printf '%s\n' '' one-secret '  two secrets ' >> "$DELIVERY_SECRETS"; echo "[one-secret][  two secrets ]"`, "[***][***]\n", ""},
		"LaterLine":  {`echo before; echo one-secret >> "$DELIVERY_SECRETS"; echo one-secret; echo two-secret >> "$DELIVERY_SECRETS"; echo two-secret`, "before\n***\n***\n", ""},
		"Overwrite":  {`echo one-secret > "$DELIVERY_SECRETS"; echo one-secret; sleep 0.1; echo two-secret > "$DELIVERY_SECRETS"; echo one-secret two-secret`, "***\n*** ***\n", ""},
		"Key":        {`printf 'BEGIN\nMIIEvQIBADANBg\nEND\n' >> "$DELIVERY_SECRETS"; echo "  MIIEvQIBADANBg"`, "  ***\n", ""},
		"JSON":       {`echo '{"token":"t-0123456789"}' >> "$DELIVERY_SECRETS"; echo t-0123456789`, "***\n", ""},
		"SameLine":   {`printf 'a '; echo gen-er-ated >> "$DELIVERY_SECRETS"; echo gen-er-ated`, "a ***\n", ""},
		"Fails":      {`echo gen-er-ated >> "$DELIVERY_SECRETS"; echo gen-er-ated; exit 3`, "***\n", "exit code 3"},
		"TooLarge":   {`head -c 70000 /dev/zero >> "$DELIVERY_SECRETS"; echo gen-er-ated`, "", "the file $DELIVERY_SECRETS has more than 65536 bytes"},
		"Replaced":   {`echo gen-er-ated > x; mv x "$DELIVERY_SECRETS"`, "", "the file $DELIVERY_SECRETS was removed or replaced"},
		"Linked":     {`ln -sf /dev/zero "$DELIVERY_SECRETS"`, "", "the file $DELIVERY_SECRETS was removed or replaced"},
		"OutputToo":  {`echo url=x >> "$DELIVERY_OUTPUT"; echo gen-er-ated >> "$DELIVERY_SECRETS"; echo gen-er-ated`, "***\n", ""},
		"NotWritten": {`echo gen-er-ated`, "gen-er-ated\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newFixture(t)
			scratch := t.TempDir()
			d := b.definition(t, "build.command")
			for range 2 { // the second one gets the files of the first
				var printed strings.Builder
				mask := pipe.NewMask(nil, nil)
				masked := mask.Writer(&printed)
				c := b.call(pipe.Args{"command": sh(tt.command)})
				c.Task, c.Scratch, c.AddSecret, c.Output = "build.command", scratch, mask.Add, masked
				_, err := d.Run(t.Context(), &c.Call)
				if err := masked.Close(); err != nil {
					t.Fatal(err)
				}
				if tt.err != "" {
					wantError(t, err, tt.err)
				} else if err != nil {
					t.Fatal(err)
				}
				if tt.printed == "" {
					continue
				}
				_, got, _ := strings.Cut(printed.String(), tt.command+"\n")
				if i := strings.LastIndex(printed.String(), "$ "); got == "" && i >= 0 { // the command has a secret in it
					_, got, _ = strings.Cut(printed.String()[i:], "\n")
				}
				if diff := cmp.Diff(got, tt.printed); diff != "" {
					t.Errorf("got (-) differs from want (+):\n%s", diff)
				}
			}
		})
	}
}
