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

// streams are the outputs of a command: out takes its result, err everything else.
type streams struct{ out, err io.Writer }

// usageError says that the command line is invalid.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// ExitCode returns the exit code of the command line for this error.
func (e *usageError) ExitCode() int { return exitcode.Usage }

// common holds the flags that every command has, and what all commands depend on.
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
	root := commandGroup(&cobra.Command{
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
				return &usageError{fmt.Errorf("invalid value %q for --output: use %s or %s", c.output, asText, asJSON)}
			}
			return nil
		},
		SuggestionsMinimumDistance: 2,
	})
	flags := root.PersistentFlags()
	flags.StringVar(&c.repository, "repository", "",
		"address of the build data repository, such as sqlite:///path/file.db "+
			"(default $"+repository.Variable+", or a file in your data directory)")
	flags.StringVar(&c.region, "region", "",
		"AWS region, also for programs that a run starts (default: from the environment; for a cluster, the region that the repository knows)")
	flags.StringVar(&c.profile, "profile", "",
		"profile in the shared AWS configuration, also for programs that a run starts (default: from the environment); "+
			"for a cluster, it must give access to the cluster's account")
	flags.StringVarP(&c.output, "output", "o", asText, "output format: text or json")
	complete(root, "output", oneOf(asText, asJSON))
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.SetOut(std.out)
	root.SetErr(std.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w\nSee \"%s --help\"", err, cmd.CommandPath())}
	})
	root.AddCommand(newInit(c), newRun(c), newPipe(c), newVersion(c), newImage(c), newStage(c), newEvent(c), newRollout(c), newSync(c))
	return root
}

// app returns the configuration that the flags describe.
func (c *common) app() (app.Config, error) {
	address, err := repository.Resolve(c.repository)
	if err != nil {
		return app.Config{}, &usageError{err}
	}
	return app.Config{
		Repository: address, AWS: awscloud.Config{Profile: c.profile, Region: c.region}, Holder: app.Holder("delivery"), Clock: c.clock,
	}, nil
}

// open opens the repository. The caller closes it.
func (c *common) open(ctx context.Context) (builddata.Store, error) {
	config, err := c.app()
	if err != nil {
		return nil, err
	}
	return config.Open(ctx)
}

// catalog returns the read side of a repository.
func (c *common) catalog(store builddata.Store) *catalog.Catalog {
	return &catalog.Catalog{Store: store, Clock: c.clock}
}

// withCatalog calls f with the catalog of the repository.
func (c *common) withCatalog(ctx context.Context, f func(cat *catalog.Catalog) error) (err error) {
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

// progress prints what the command is doing to stderr.
func (c *common) progress(_ context.Context, format string, args ...any) {
	_, _ = fmt.Fprintf(c.err, "%s  %s\n", c.clock.Now().UTC().Format("15:04:05"), fmt.Sprintf(format, args...))
}

// printJSON prints a result as JSON.
func (c *common) printJSON(v any) error {
	encoder := json.NewEncoder(c.out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// commandGroup makes a command print its help when it is called without a subcommand, and
// return an error for an unknown one.
func commandGroup(cmd *cobra.Command) *cobra.Command {
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

// exactArgs is cobra.ExactArgs with an error that names the expected arguments.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return argumentsError(cmd, args, names...)
		}
		return nil
	}
}

// atMostOne accepts one argument or none.
func atMostOne(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return argumentsError(cmd, args, "one "+name+" or none")
		}
		return nil
	}
}

// argumentsError says which arguments a command takes, and which it got.
func argumentsError(cmd *cobra.Command, args []string, takes ...string) error {
	got := "none"
	if len(args) > 0 {
		got = fmt.Sprintf("%q", strings.Join(args, " "))
	}
	if len(takes) == 0 {
		takes = []string{"no arguments"}
	}
	return &usageError{fmt.Errorf("%q takes %s, and got %s\nSee \"%s --help\"",
		cmd.CommandPath(), strings.Join(takes, " "), got, cmd.CommandPath())}
}

// rejectEmpty returns an error for a flag with an empty value, as from a variable that is
// not set. Otherwise an empty value would have the meaning of an omitted flag.
func rejectEmpty(cmd *cobra.Command, flags ...string) error {
	for _, name := range flags {
		if f := cmd.Flags().Lookup(name); f.Changed && strings.TrimSpace(f.Value.String()) == "" {
			return &usageError{fmt.Errorf("--%s is empty: give it a value, or omit it (is a variable not set?)", name)}
		}
	}
	return nil
}
