package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/runner"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/scm"
)

// candidates returns the words that the shell offers, given the arguments before the word.
// After an error, it returns none.
type candidates func(ctx context.Context, args []string) []string

// complete makes the shell complete the value of a flag.
func complete(cmd *cobra.Command, flag string, all candidates) {
	register(cmd, flag, func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return all(cmd.Context(), args), cobra.ShellCompDirectiveNoFileComp
	})
}

// completeFile makes the shell complete the value of a flag with the names of files, which
// it does for no other flag.
func completeFile(cmd *cobra.Command, flag string) {
	register(cmd, flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveDefault
	})
}

// completeFolder makes the shell complete the value of a flag with the names of folders.
func completeFolder(cmd *cobra.Command, flag string) {
	register(cmd, flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveFilterDirs
	})
}

// register sets the completion function of a flag.
func register(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err) // the flag does not exist: a bug in this program
	}
}

// completeArgument makes the shell complete the only argument of a command.
func completeArgument(cmd *cobra.Command, all candidates) {
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
		if len(args) == 0 {
			names = all(cmd.Context(), args)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// oneOf offers fixed words.
func oneOf[T ~string](words ...T) candidates {
	return func(context.Context, []string) (all []string) {
		for _, word := range words {
			all = append(all, string(word))
		}
		return all
	}
}

// stepNames returns the names of the steps of a pipe; an empty name stands for the pipe
// that .delivery.yml names.
func (f *projectFlags) stepNames(ctx context.Context, name string) (names []string) {
	project, err := runner.OpenProject(f.folder, scm.Network{Offline: true})
	if err != nil {
		return nil
	}
	p, err := project.Load(ctx, runner.Request{Pipe: name})
	if err != nil {
		return nil
	}
	for _, step := range p.Tasks() {
		names = append(names, step.Name)
	}
	return names
}

// pipeNames completes the names of pipes.
func (f *projectFlags) pipeNames(ctx context.Context, _ []string) (names []string) {
	project, err := runner.OpenProject(f.folder, scm.Network{Offline: true})
	if err != nil {
		return nil
	}
	all, err := project.List(ctx)
	if err != nil {
		return nil
	}
	for _, l := range all {
		names = append(names, l.Name)
	}
	return names
}

// versionNames completes the latest versions of the service, including revoked ones.
func (s *serviceFlags) versionNames(ctx context.Context, _ []string) []string {
	service, err := s.name()
	if err != nil {
		return nil
	}
	return s.withExisting(ctx, func(ctx context.Context, store builddata.Store) (names []string) {
		all, _ := store.Versions(ctx, builddata.VersionQuery{Service: service, IncludeRevoked: true}) // after an error, there are none
		for _, v := range all {
			names = append(names, v.Name)
		}
		return names
	})
}

// runIDs completes the ids of the latest runs.
func (c *common) runIDs(ctx context.Context, _ []string) []string {
	return c.withExisting(ctx, func(ctx context.Context, store builddata.Store) (ids []string) {
		all, _ := c.catalog(store).Runs(ctx, builddata.RunQuery{}) // after an error, there are none
		for _, r := range all {
			ids = append(ids, cobra.CompletionWithDesc(r.Run, r.Service+", "+r.Pipe+", "+formatTime(r.StartedAt)))
		}
		return ids
	})
}

// completionLimit is how long completing a word may wait for the repository.
const completionLimit = 500 * time.Millisecond

// withExisting returns the words that f returns for the repository, if it exists: completing
// a word must not create it. A repository that does not answer in time has no words; f may
// then still be running when the program ends.
func (c *common) withExisting(ctx context.Context, f func(ctx context.Context, store builddata.Store) []string) []string {
	ctx, cancel := context.WithTimeout(ctx, completionLimit)
	defer cancel()
	words := make(chan []string, 1)
	go func() { words <- c.readExisting(ctx, f) }()
	select {
	case all := <-words:
		return all
	case <-ctx.Done():
		return nil
	}
}

func (c *common) readExisting(ctx context.Context, f func(ctx context.Context, store builddata.Store) []string) []string {
	config, err := c.app()
	if err != nil {
		return nil
	}
	if exists, err := config.Repository.Exists(ctx); err != nil || !exists {
		return nil
	}
	store, err := config.Open(ctx)
	if err != nil {
		return nil
	}
	all := f(ctx, store)
	_ = store.Close() // nothing was written
	return all
}
