package pipe_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/acctest"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

const (
	address = "delivery_pipe_run.app"
	data    = "data.delivery_pipe.app"
)

func TestMain(m *testing.M) { os.Exit(runWithStateFolder(m)) }

// runWithStateFolder runs the tests with a state folder for the provider in this process.
// Tests that leave a run behind start programs with a state folder of their own.
func runWithStateFolder(m *testing.M) (code int) {
	folder, err := os.MkdirTemp("", "state-")
	if err == nil {
		err = os.Setenv("XDG_STATE_HOME", folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code = acctest.Main(m)
	if err := os.RemoveAll(folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// checkout is a pushed checkout of the service strawberry with the pipe app.
type checkout struct{ folder string }

func newCheckout(t *testing.T, pipe string) *checkout {
	t.Helper()
	root := t.TempDir()
	c := &checkout{folder: filepath.Join(root, "checkout")}
	remote := filepath.Join(root, "remote.git")
	fatal(t, c.git(t, "init", "--quiet", "--bare", "--initial-branch=main", remote))
	fatal(t, c.git(t, "init", "--quiet", "--initial-branch=main", c.folder))
	fatal(t, c.git(t, "-C", c.folder, "remote", "add", "origin", remote))
	c.write(t, ".delivery.yml", "pipe: app\nservice: strawberry\nsecrets: [NEXUS_PASSWORD, token]\n")
	c.write(t, "pipes/app.yml", pipe)
	c.push(t)
	return c
}

func (c *checkout) git(t *testing.T, args ...string) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("git %v: %w\n%s", args, err, out)
	}
	return err
}

func (c *checkout) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(c.folder, name)
	fatal(t, os.MkdirAll(filepath.Dir(path), 0o700))
	fatal(t, os.WriteFile(path, []byte(text), 0o600))
}

func (c *checkout) commit(t *testing.T) {
	t.Helper()
	fatal(t, c.git(t, "-C", c.folder, "add", "-A"))
	fatal(t, c.git(t, "-C", c.folder, "commit", "--quiet", "-m", "change"))
}

func (c *checkout) push(t *testing.T) {
	t.Helper()
	c.commit(t)
	fatal(t, c.git(t, "-C", c.folder, "push", "--quiet", "-u", "origin", "main"))
}

// run returns a resource that runs the checkout's pipe.
func (c *checkout) run(arguments string) string {
	return fmt.Sprintf("resource \"delivery_pipe_run\" \"app\" {\n  folder = %q\n%s\n}\n", c.folder, arguments)
}

// list returns a data source that reads the checkout's pipe.
func (c *checkout) list(arguments string) string {
	return fmt.Sprintf("data \"delivery_pipe\" \"app\" {\n  folder = %q\n%s\n}\n", c.folder, arguments)
}

func value(path string, v knownvalue.Check) statecheck.StateCheck {
	return statecheck.ExpectKnownValue(address, tfjsonpath.New(path), v)
}

func text(path, v string) statecheck.StateCheck { return value(path, knownvalue.StringExact(v)) }

func output(name, v string) statecheck.StateCheck {
	return statecheck.ExpectKnownValue(address, tfjsonpath.New("outputs").AtMapKey(name), knownvalue.StringExact(v))
}

func expect(action plancheck.ResourceActionType) resource.ConfigPlanChecks {
	return resource.ConfigPlanChecks{
		PreApply:             []plancheck.PlanCheck{plancheck.ExpectResourceAction(address, action)},
		PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()},
	}
}

// matches returns a pattern for an error that contains the text, however Terraform wraps
// it.
func matches(text string) *regexp.Regexp {
	words := strings.Fields(text)
	for i, word := range words {
		words[i] = regexp.QuoteMeta(word)
	}
	return regexp.MustCompile(`(?s)` + strings.Join(words, `[\s│]+`))
}

// runs returns the recorded runs, the newest first.
func runs(t *testing.T, e *acctest.Env) []builddata.Run {
	t.Helper()
	all, err := e.Store.Runs(t.Context(), builddata.RunQuery{Service: "strawberry"})
	fatal(t, err)
	return all
}

// test runs the steps, and checks how many runs are recorded after all resources have been
// destroyed.
func test(t *testing.T, e *acctest.Env, want int, steps ...resource.TestStep) {
	t.Helper()
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: acctest.Factories,
		CheckDestroy: func(*terraform.State) error {
			if all := runs(t, e); len(all) != want {
				return fmt.Errorf("got %d runs on record, want %d", len(all), want)
			}
			return nil
		},
		Steps: steps,
	})
}

const applicationPipe = `
first:
  - {name: version, do: init.version}
main:
  - name: build
    do: build.command
    command: |
      echo "artifact=app-$DELIVERY_VERSION.tar" >> "$DELIVERY_OUTPUT"
      echo "greeting=${{ greeting ?? 'none' }}" >> "$DELIVERY_OUTPUT"
    outputs: [artifact, greeting]
  - name: deploy
    do: build.command
    command: echo "deployed=${{ artifact }}" >> "$DELIVERY_OUTPUT"
    outputs: [deployed]
last:
  - {name: tidy, do: mock.dummy, set: {tidied: 'yes'}}
`

func TestAccPipeRun(t *testing.T) {
	e := acctest.NewWithoutAWS(t)
	c := newCheckout(t, applicationPipe)
	first := ""
	test(t, e, 6,
		resource.TestStep{
			Config:           e.Provider() + c.run(`triggers = { revision = "1" }`),
			ConfigPlanChecks: expect(plancheck.ResourceActionCreate),
			ConfigStateChecks: []statecheck.StateCheck{
				value("id", knownvalue.StringRegexp(regexp.MustCompile(`^[0-9A-Z]{26}$`))),
				text("service", "strawberry"), text("version", "1"), value("number", knownvalue.Int64Exact(1)), text("status", "succeeded"),
				value("revision", knownvalue.StringRegexp(regexp.MustCompile(`^[0-9a-f]{40}$`))),
				value("started_at", knownvalue.StringRegexp(regexp.MustCompile(`^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$`))),
				value("outputs", knownvalue.MapExact(map[string]knownvalue.Check{
					"version": knownvalue.StringExact("1"), "number": knownvalue.StringExact("1"), "artifact": knownvalue.StringExact("app-1.tar"),
					"greeting": knownvalue.StringExact("none"), "deployed": knownvalue.StringExact("app-1.tar"), "tidied": knownvalue.StringExact("yes"),
				})),
			},
			Check: func(*terraform.State) error {
				all := runs(t, e)
				if len(all) != 1 || all[0].Pipe != "app" || all[0].Number != 1 || all[0].Status != builddata.Succeeded ||
					!strings.Contains(all[0].Holder, "terraform") {
					return fmt.Errorf("got %+v on record", all)
				}
				first = all[0].ID
				return nil
			},
		},
		resource.TestStep{
			ResourceName: address, ImportState: true, ImportStateVerify: true,
			ImportStateIdFunc:       func(*terraform.State) (string, error) { return "strawberry/" + first, nil },
			ImportStateVerifyIgnore: []string{"folder", "triggers"}, // the record does not hold them
		},
		resource.TestStep{
			Config:            e.Provider() + c.run(`triggers = { revision = "2" }`),
			ConfigPlanChecks:  expect(plancheck.ResourceActionReplace),
			ConfigStateChecks: []statecheck.StateCheck{text("version", "2"), output("artifact", "app-2.tar")},
		},
		resource.TestStep{ // the run does not depend on timeouts
			Config:            e.Provider() + c.run("triggers = { revision = \"2\" }\ntimeouts = { create = \"1h\" }"),
			ConfigPlanChecks:  expect(plancheck.ResourceActionUpdate),
			ConfigStateChecks: []statecheck.StateCheck{text("version", "2")},
		},
		resource.TestStep{
			Config:           e.Provider() + c.run(`run_to = "build"`),
			ConfigPlanChecks: expect(plancheck.ResourceActionReplace),
			ConfigStateChecks: []statecheck.StateCheck{
				text("version", "3"),
				value("outputs", knownvalue.MapExact(map[string]knownvalue.Check{
					"version": knownvalue.StringExact("3"), "number": knownvalue.StringExact("3"), "artifact": knownvalue.StringExact("app-3.tar"),
					"greeting": knownvalue.StringExact("none"), "tidied": knownvalue.StringExact("yes"),
				})),
			},
		},
		resource.TestStep{
			Config:           e.Provider() + c.run(`for_version = "2"`),
			ConfigPlanChecks: expect(plancheck.ResourceActionReplace),
			ConfigStateChecks: []statecheck.StateCheck{text("version", "2"), value("number", knownvalue.Int64Exact(2)),
				output("artifact", "app-2.tar")},
		},
		resource.TestStep{
			Config:            e.Provider() + c.run(`values = { greeting = "it's $(date) \"here\"" }`),
			ConfigPlanChecks:  expect(plancheck.ResourceActionReplace),
			ConfigStateChecks: []statecheck.StateCheck{text("version", "4"), output("greeting", `it's $(date) "here"`)},
		},
		resource.TestStep{
			Config:           e.Provider() + c.run(`mock = true`),
			ConfigPlanChecks: expect(plancheck.ResourceActionReplace),
			ConfigStateChecks: []statecheck.StateCheck{
				text("id", "mock"), value("version", knownvalue.Null()), output("version", "0-mock"), value("number", knownvalue.Null()),
				value("revision", knownvalue.Null()), output("artifact", "mock-artifact"),
			},
		},
		resource.TestStep{
			Config:      e.Provider() + c.run(`for_version = "17"`),
			ExpectError: matches(`"delivery version list" lists the versions of strawberry`),
		},
		resource.TestStep{ // a pipe without a version
			PreConfig: func() {
				c.write(t, "pipes/plain.yml", "main:\n  - do: mock.dummy\n")
				c.push(t)
			},
			Config:           e.Provider() + c.run(`pipe = "plain"`),
			ConfigPlanChecks: expect(plancheck.ResourceActionCreate),
			ConfigStateChecks: []statecheck.StateCheck{value("version", knownvalue.Null()), value("number", knownvalue.Null()),
				value("outputs", knownvalue.MapSizeExact(0))},
		},
		resource.TestStep{ // what is null stays null
			Config:           e.Provider() + c.run("pipe = \"plain\"\ntimeouts = { create = \"1h\" }"),
			ConfigPlanChecks: expect(plancheck.ResourceActionUpdate),
		},
	)
	if r, err := e.Store.Run(t.Context(), "strawberry", first); err != nil || r.Status != builddata.Succeeded {
		t.Errorf("got %+v and %v of the run of a resource that was destroyed", r, err)
	}
}

func TestAccPipeRun_Fails(t *testing.T) {
	e := acctest.NewWithoutAWS(t)
	c := newCheckout(t, `
first:
  - {name: version, do: init.version}
main:
  - {name: check, do: build.command, command: sh check.sh}
  - {name: deploy, do: build.command, command: echo deployed}
last:
  - {name: tidy, do: mock.dummy}
`)
	c.write(t, "check.sh", "echo looking\necho the wall is wet >&2\nexit 3\n")
	c.push(t)
	test(t, e, 4,
		resource.TestStep{Config: e.Provider() + c.run(""), ExpectError: matches(`The pipe app of strawberry 1 failed`)},
		resource.TestStep{
			Config:      e.Provider() + c.run(""),
			ExpectError: matches(`: exit code 3 The end of its output: $ sh check.sh looking the wall is wet Complete output:`),
		},
		resource.TestStep{
			Config:      e.Provider() + c.run(""),
			ExpectError: matches(`is recorded as failed; its section last has run. What to do: fix the cause and apply again`),
		},
		resource.TestStep{
			PreConfig: func() {
				c.write(t, "check.sh", "echo fine\n")
				c.push(t)
			},
			Config:            e.Provider() + c.run(""),
			ConfigPlanChecks:  expect(plancheck.ResourceActionCreate),
			ConfigStateChecks: []statecheck.StateCheck{text("version", "4")},
		},
	)
	if r := runs(t, e)[1]; r.Status != builddata.Failed || r.Message != "failed at check: exit code 3" {
		t.Errorf("got %+v on record", r)
	}
}

// A plan reports the problems of a pipe with their positions.
func TestAccPipe_Invalid(t *testing.T) {
	e := acctest.NewWithoutAWS(t)
	c := newCheckout(t, applicationPipe)
	for name, text := range map[string]string{
		"task": "main:\n  - do: test.comand\n", "argument": "main:\n  - do: init.version\n  - {name: a, do: test.command}\n",
		"value": "main:\n  - do: build.command\n    command: echo ${{ colour }}\n", "syntax": "main:\n  - do: [\n",
		"none": "main: []\n",
	} {
		c.write(t, "pipes/"+name+".yml", text)
	}
	elsewhere := &checkout{folder: t.TempDir()}
	for _, tt := range []struct{ name, config, want string }{
		{
			"Task", c.run(`pipe = "task"`),
			`pipes/task.yml:2:5: step "test.comand": there is no task "test.comand", neither built in nor as a program ` +
				`delivery-task-test.comand on PATH; did you mean test.command?`,
		},
		{"Argument", c.run(`pipe = "argument"`), `pipes/argument.yml:3:5: step "a": the task test.command needs the argument command`},
		{"Value", c.run(`pipe = "value"`), `pipes/value.yml:3:14: nothing sets ${{ colour }}`},
		{"Syntax", c.run(`pipe = "syntax"`), `pipes/syntax.yml:2:`},
		{"NoSteps", c.run(`pipe = "none"`), `pipes/none.yml:1:`},
		{"NoPipe", c.run(`pipe = "nowhere"`), `nowhere`},
		{"NoProject", elsewhere.run(""), `there is no .delivery.yml in`},
		{"RunTo", c.run(`run_to = "biuld"`), `pipes/app.yml:2:1: the pipe app has no step "biuld"; did you mean build?`},
		{
			"RunToLast", c.run(`run_to = "tidy"`), `pipes/app.yml:16:5: the step "tidy" is in the section last, which always runs Omit run_to.`,
		},
		{"NoFolder", `resource "delivery_pipe_run" "app" { folder = "" }`, `folder string length must be at least 1`},
		{"Data", c.list(`pipe = "argument"`), `pipes/argument.yml:3:5: step "a": the task test.command needs the argument command`},
		{"DataNoProject", elsewhere.list(""), `there is no .delivery.yml in`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resource.Test(t, resource.TestCase{
				ProtoV6ProviderFactories: acctest.Factories,
				Steps:                    []resource.TestStep{{Config: e.Provider() + tt.config, PlanOnly: true, ExpectError: matches(tt.want)}},
			})
		})
	}
	t.Run("Replacement", func(t *testing.T) {
		fatal(t, os.RemoveAll(filepath.Join(c.folder, "pipes", "syntax.yml")))
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: acctest.Factories,
			Steps: []resource.TestStep{
				{Config: e.Provider() + c.run(`allow_unpushed = true`)},
				{Config: e.Provider() + c.run("allow_unpushed = true\npipe = \"value\""), PlanOnly: true, ExpectError: matches(`pipes/value.yml:3:14`)},
			},
		})
	})
}

func TestAccPipeRun_Unpushed(t *testing.T) {
	e := acctest.NewWithoutAWS(t)
	c := newCheckout(t, applicationPipe)
	c.write(t, "file", "new")
	test(t, e, 2,
		resource.TestStep{Config: e.Provider() + c.run(""), ExpectError: matches(`: file To fix it: git add -A && git commit git push`)},
		resource.TestStep{
			PreConfig:   func() { c.commit(t) },
			Config:      e.Provider() + c.run(""),
			ExpectError: matches(`has not been pushed To fix it: git push Or run it with allow_unpushed = true.`),
		},
		resource.TestStep{Config: e.Provider() + c.run("allow_unpushed = true"), ConfigPlanChecks: expect(plancheck.ResourceActionCreate)},
		resource.TestStep{
			PreConfig: func() {
				if r := runs(t, e)[0]; !strings.Contains(r.Untraceable, "has not been pushed") {
					t.Errorf("got %q as why the run is untraceable", r.Untraceable)
				}
				fatal(t, c.git(t, "-C", c.folder, "push", "--quiet"))
			},
			Config:           e.Provider() + c.run(""),
			ConfigPlanChecks: expect(plancheck.ResourceActionReplace),
		},
	)
}

// Secrets that steps return or print are neither in the state nor in an error.
func TestAccPipeRun_Secrets(t *testing.T) {
	e := acctest.NewWithoutAWS(t)
	c := newCheckout(t, `
main:
  - name: sign in
    do: build.command
    command: |
      echo "token=tok-$DELIVERY_RUN-en" >> "$DELIVERY_OUTPUT"
      echo "user=ada" >> "$DELIVERY_OUTPUT"
      echo "url=https://ada:$NEXUS_PASSWORD@nexus.example.com/" >> "$DELIVERY_OUTPUT"
    outputs: [token, user, url]
  - name: use it
    do: build.command
    command: |
      echo "session=of ${{ token }}" >> "$DELIVERY_OUTPUT"
      echo "with ${{ token }} and $NEXUS_PASSWORD and ${{ licence }}"
      test "${{ licence }}" = "$(echo lic-top-se)cret-42"
      test -z "${{ fails ?? '' }}"
`)
	w := acctest.NewWorkspace(t, "variable \"fails\" { default = \"\" }\nvariable \"licence\" {\n  sensitive = true\n  ephemeral = "+
		"true\n}\n"+e.Provider()+c.run("values = { fails = var.fails }\n  sensitive_values = { licence = var.licence }"))
	const password, licence = "correct-horse-battery", "lic-top-secret-42"
	w.Environ = []string{"XDG_STATE_HOME=" + t.TempDir(), "NEXUS_PASSWORD=" + password, "TF_VAR_licence=" + licence, "TF_LOG_PROVIDER=INFO"}
	out, err := w.Run(t.Context(), "apply", "-auto-approve", "-no-color")
	fatal(t, err)
	state, err := os.ReadFile(filepath.Join(w.Folder(), "terraform.tfstate"))
	fatal(t, err)
	// A value with a secret in it is left out, with a warning: it is not altered.
	if !strings.Contains(string(state), `"user": "ada"`) || strings.Contains(string(state), "***") || strings.Contains(string(state), `"url"`) ||
		!matches("the output url holds a secret, so it is neither shown nor stored").MatchString(out) {
		t.Errorf("the outputs without secrets are not in the state:\n%s", state)
	}
	bad, err := w.Run(t.Context(), "apply", "-auto-approve", "-no-color", "-var", "fails=1")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !matches("with *** and *** and ***").MatchString(bad) {
		t.Errorf("got %v, want the step's output without secrets\n%s", err, bad)
	}
	all := runs(t, e)
	shown := out + bad + string(state)
	for _, r := range all {
		events, err := e.Store.Events(t.Context(), builddata.EventQuery{Service: "strawberry", Run: r.ID, Limit: 100})
		fatal(t, err)
		r, err = e.Store.Run(t.Context(), "strawberry", r.ID)
		fatal(t, err)
		shown += fmt.Sprintf("%v %+v %s", events, r, r.Definition)
	}
	for _, secret := range []string{password, licence, "tok-" + all[0].ID + "-en", "tok-" + all[1].ID + "-en"} {
		if strings.Contains(shown, secret) {
			t.Errorf("the secret %s is in\n%s", secret, shown)
		}
	}
}

// Arguments that are not known when the configuration is planned are not an error.
func TestAccPipe_Unknown(t *testing.T) {
	e := acctest.NewWithoutAWS(t)
	c := newCheckout(t, "main:\n  - name: say\n    do: build.command\n    command: "+
		"echo \"said=${{ colour }} ${{ version }}\" >> \"$DELIVERY_OUTPUT\"\n    outputs: [said]\n")
	if _, err := e.Store.Allocate(t.Context(), builddata.Allocation{Service: "strawberry", Scheme: builddata.Sequence}); err != nil {
		t.Fatal(err)
	}
	made := fmt.Sprintf("resource \"terraform_data\" \"made\" {\n  input = { folder = %q, pipe = \"app\", to = \"say\", version = \"1\", "+
		"values = { colour = \"red\" } }\n}\n", c.folder)
	const list = "data \"delivery_pipe\" \"app\" {\n  folder = terraform_data.made.output.folder\n  values = " +
		"terraform_data.made.output.values\n  for_version = terraform_data.made.output.version\n}\n"
	for _, tt := range []struct{ name, config string }{
		{"Everything", `resource "delivery_pipe_run" "app" {
			folder      = terraform_data.made.output.folder
			pipe        = terraform_data.made.output.pipe
			run_to      = terraform_data.made.output.to
			for_version = terraform_data.made.output.version
			values      = terraform_data.made.output.values
			triggers    = { id = terraform_data.made.id }
		}
		` + list},
		{"OneValue", c.run("for_version = \"1\"\nvalues = { colour = terraform_data.made.output.values.colour }")},
		{"Version", c.run("for_version = terraform_data.made.output.version\nvalues = { colour = \"red\" }")},
		{"DependsOn", c.run("for_version = \"1\"\nvalues = { colour = \"red\" }\ndepends_on = [terraform_data.made]")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resource.Test(t, resource.TestCase{
				ProtoV6ProviderFactories: acctest.Factories,
				Steps: []resource.TestStep{{
					Config: e.Provider() + made + tt.config, ConfigPlanChecks: expect(plancheck.ResourceActionCreate),
					ConfigStateChecks: []statecheck.StateCheck{output("said", "red 1"), text("version", "1")},
				}},
			})
		})
	}
	t.Run("TriggersOnly", func(t *testing.T) { // the pipe is known, so it is validated
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: acctest.Factories,
			Steps: []resource.TestStep{{
				Config: e.Provider() + made + c.run("triggers = { id = terraform_data.made.id }"), PlanOnly: true,
				ExpectError: matches("nothing sets ${{ colour }}"),
			}},
		})
	})
}

// Terraform applies resources concurrently. Runs in the same checkout take turns.
func TestAccPipeRun_OneCheckout(t *testing.T) {
	e := acctest.NewWithoutAWS(t)
	c := newCheckout(t, "main:\n  - {do: build.command, command: 'mkdir .git/running; sleep 0.3; rmdir .git/running'}\n")
	test(t, e, 3, resource.TestStep{
		Config: e.Provider() + fmt.Sprintf("resource \"delivery_pipe_run\" \"app\" {\n  count = 3\n  folder = %q\n}\n", c.folder),
	})
}

func TestAccPipeRun_Timeout(t *testing.T) {
	e := acctest.NewWithoutAWS(t)
	c := newCheckout(t, "main:\n  - {name: dawdle, do: build.command, command: sleep 60}\nlast:\n  - {name: tidy, do: "+
		"build.command, command: touch .git/tidied}\n")
	test(t, e, 1, resource.TestStep{
		Config: e.Provider() + c.run(`timeouts = { create = "1s" }`),
		ExpectError: regexp.MustCompile(`(?s)The pipe app of strawberry was interrupted.*` +
			`the step "dawdle" was interrupted after [.\d]+m?s:\s+timed\s+out\s+after\s+1s\s+\(timeouts.create\)`),
	})
	if _, err := os.Stat(filepath.Join(c.folder, ".git", "tidied")); err != nil {
		t.Errorf("the section last: %v", err)
	}
	if r := runs(t, e)[0]; r.Status != builddata.Interrupted {
		t.Errorf("got %+v on record", r)
	}
}

func TestAccPipeData(t *testing.T) {
	e := acctest.NewWithoutAWS(t)
	c := newCheckout(t, `
first:
  - {name: version, do: init.version}
main:
  - parallel:
      - - {name: a, do: mock.dummy}
        - parallel:
            - [{name: b, do: mock.dummy}]
            - [{name: c, do: MOCK.dummy, message: "${{ colour }}"}]
      - - {name: d, do: mock.dummy}
last:
  - do: mock.dummy
`)
	step := func(section, branch, name, task, written string) knownvalue.Check {
		var b knownvalue.Check = knownvalue.Null()
		if branch != "" {
			b = knownvalue.StringExact(branch)
		}
		return knownvalue.ObjectExact(map[string]knownvalue.Check{
			"section": knownvalue.StringExact(section), "branch": b, "name": knownvalue.StringExact(name), "task": knownvalue.StringExact(task),
			"written": knownvalue.StringExact(written),
		})
	}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: acctest.Factories,
		Steps: []resource.TestStep{{
			Config: e.Provider() + c.list(`values = { colour = "red" }`),
			ConfigStateChecks: []statecheck.StateCheck{
				statecheck.ExpectKnownValue(data, tfjsonpath.New("name"), knownvalue.StringExact("app")),
				statecheck.ExpectKnownValue(data, tfjsonpath.New("id"), knownvalue.StringExact("app")),
				statecheck.ExpectKnownValue(data, tfjsonpath.New("steps"), knownvalue.ListExact([]knownvalue.Check{
					step("first", "", "version", "init.version", "pipes/app.yml:3:5"),
					step("main", "1.1", "a", "mock.dummy", "pipes/app.yml:6:11"),
					step("main", "1.1/2.1", "b", "mock.dummy", "pipes/app.yml:8:16"),
					step("main", "1.1/2.2", "c", "MOCK.dummy", "pipes/app.yml:9:16"),
					step("main", "1.2", "d", "mock.dummy", "pipes/app.yml:10:11"),
					step("last", "", "mock.dummy", "mock.dummy", "pipes/app.yml:12:5"),
				})),
			},
		}},
	})
}
