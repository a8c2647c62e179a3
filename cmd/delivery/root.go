package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/app"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/awscloud"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/catalog"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/exitcode"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/repository"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/version"
)

// streams are where results go, and where everything else does.
type streams struct{ out, err io.Writer }

// usageError says that the command line is invalid.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// ExitCode is that of the command line.
func (e *usageError) ExitCode() int { return exitcode.Usage }

// common is what every command takes.
type common struct {
	streams
	repository string
	region     string
	profile    string
	output     string
	clock      clock.Clock
	entropy    io.Reader
}

// The values of --output.
const (
	asText = "text"
	asJSON = "json"
)

func newRoot(std streams) *cobra.Command {
	c := &common{streams: std, clock: clock.System{}, entropy: rand.Reader}
	root := group(&cobra.Command{
		Use:   "delivery",
		Short: "Continuous delivery on AWS: pipes, versions, clusters and their rollouts",
		Example: `  delivery init --service strawberry
  delivery pipe test
  delivery run
  delivery version show 17
  delivery rollout status strawberry/prod`,
		Version:       version.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if !slices.Contains([]string{asText, asJSON}, c.output) {
				return &usageError{fmt.Errorf("--output %q: use %s or %s", c.output, asText, asJSON)}
			}
			return nil
		},
		SuggestionsMinimumDistance: 2,
	})
	flags := root.PersistentFlags()
	flags.StringVar(&c.repository, "repository", "", "build data repository, as sqlite:///path/file.db (default $"+repository.Variable+", or a file in your data directory)")
	flags.StringVar(&c.region, "region", "", "AWS region, also of what a run starts (default: the environment's; of a cluster, where the repository knows it)")
	flags.StringVar(&c.profile, "profile", "", "profile of the shared AWS configuration, also of what a run starts (default: the environment's); for a cluster it has to lead to its account")
	flags.StringVarP(&c.output, "output", "o", asText, "text or json")
	complete(root, "output", oneOf(asText, asJSON))
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.SetOut(std.out)
	root.SetErr(std.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w\nSee \"%s --help\"", err, cmd.CommandPath())}
	})
	root.AddCommand(newInit(c), newRun(c), newPipe(c), newVersion(c), newStage(c), newEvent(c), newRollout(c), newSync(c))
	return root
}

// app is what the flags say.
func (c *common) app() (app.Config, error) {
	address, err := repository.Resolve(c.repository)
	if err != nil {
		return app.Config{}, &usageError{err}
	}
	return app.Config{
		Repository: address, AWS: awscloud.Config{Profile: c.profile, Region: c.region}, Holder: app.Holder("delivery"), Clock: c.clock,
	}, nil
}

// open opens the repository; the caller closes it.
func (c *common) open(ctx context.Context) (builddata.Store, error) {
	config, err := c.app()
	if err != nil {
		return nil, err
	}
	return config.Open(ctx)
}

// catalog answers questions about what the repository holds.
func (c *common) catalog(store builddata.Store) *catalog.Catalog {
	return &catalog.Catalog{Store: store, Clock: c.clock}
}

// read calls f with the catalog of the repository.
func (c *common) read(ctx context.Context, f func(cat *catalog.Catalog) error) (err error) {
	store, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return f(c.catalog(store))
}

func (c *common) cloud(ctx context.Context, region string) (*awscloud.Cloud, error) {
	return awscloud.Open(ctx, awscloud.Config{Region: region, Profile: c.profile, Clock: c.clock})
}

// progress tells what is being done, beside the result.
func (c *common) progress(_ context.Context, format string, args ...any) {
	_, _ = fmt.Fprintf(c.err, "%s  %s\n", c.clock.Now().UTC().Format("15:04:05"), fmt.Sprintf(format, args...))
}

// printJSON prints a result for machines.
func (c *common) printJSON(v any) error {
	encoder := json.NewEncoder(c.out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// group has a command that only holds others refuse what is none of them.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		text := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			text += fmt.Sprintf("; did you mean %s?", strings.Join(near, " or "))
		}
		return &usageError{fmt.Errorf("%s\nSee \"%s --help\"", text, cmd.CommandPath())}
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

// exactly is cobra.ExactArgs with an error that says what is expected.
func exactly(what ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(what) {
			return unexpected(cmd, args, what...)
		}
		return nil
	}
}

// atMostOne takes one argument or none.
func atMostOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return unexpected(cmd, args, "one "+what+" or none")
		}
		return nil
	}
}

// unexpected says which arguments a command takes, and which it got.
func unexpected(cmd *cobra.Command, args []string, takes ...string) error {
	got := "none"
	if len(args) > 0 {
		got = fmt.Sprintf("%q", strings.Join(args, " "))
	}
	if len(takes) == 0 {
		takes = []string{"no arguments"}
	}
	return &usageError{fmt.Errorf("%q takes %s, and got %s\nSee \"%s --help\"", cmd.CommandPath(), strings.Join(takes, " "), got, cmd.CommandPath())}
}

// notEmpty refuses flags that were given without a value, as by a variable that
// is not set: it would count as left out, which means something else.
func notEmpty(cmd *cobra.Command, flags ...string) error {
	for _, name := range flags {
		if f := cmd.Flags().Lookup(name); f.Changed && strings.TrimSpace(f.Value.String()) == "" {
			return &usageError{fmt.Errorf("--%s is empty: give it a value, or leave it out; is a variable not set?", name)}
		}
	}
	return nil
}
