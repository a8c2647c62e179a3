package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/runner"
)

// candidates are what the shell may complete a word by, after the arguments so
// far. What cannot be found out has none.
type candidates func(ctx context.Context, args []string) []string

// complete has the shell complete a flag's value.
func complete(cmd *cobra.Command, flag string, all candidates) {
	register(cmd, flag, func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return all(cmd.Context(), args), cobra.ShellCompDirectiveNoFileComp
	})
}

// completeFile has the shell complete a flag's value by the names of files,
// which it does for no other one.
func completeFile(cmd *cobra.Command, flag string) {
	register(cmd, flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveDefault
	})
}

// completeFolder has the shell complete a flag's value by the names of folders.
func completeFolder(cmd *cobra.Command, flag string) {
	register(cmd, flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveFilterDirs
	})
}

func register(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err) // the flag does not exist: a mistake in this program
	}
}

// completeArgument has the shell complete the only argument.
func completeArgument(cmd *cobra.Command, all candidates) {
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
		if len(args) == 0 {
			names = all(cmd.Context(), args)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// oneOf are words that are always the same.
func oneOf[T ~string](words ...T) candidates {
	return func(context.Context, []string) (all []string) {
		for _, word := range words {
			all = append(all, string(word))
		}
		return all
	}
}

// stepNames are the steps of a pipe; an empty name is the checkout's own.
func (w *projectFlags) stepNames(ctx context.Context, name string) (names []string) {
	_, project, err := w.project()
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

func (w *projectFlags) pipeNames(ctx context.Context, _ []string) (names []string) {
	_, project, err := w.project()
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

// versionNames are the latest versions of the service, those included that
// were revoked.
func (s *serviceFlags) versionNames(ctx context.Context, _ []string) (names []string) {
	service, err := s.name()
	if err != nil {
		return nil
	}
	s.peek(ctx, func(store builddata.Store) {
		all, err := store.Versions(ctx, builddata.VersionQuery{Service: service, IncludeRevoked: true})
		if err != nil {
			return
		}
		for _, v := range all {
			names = append(names, v.Name)
		}
	})
	return names
}

// runIDs are the latest runs.
func (c *common) runIDs(ctx context.Context, _ []string) (ids []string) {
	c.peek(ctx, func(store builddata.Store) {
		all, err := c.catalog(store).Runs(ctx, builddata.RunQuery{})
		if err != nil {
			return
		}
		for _, r := range all {
			ids = append(ids, cobra.CompletionWithDesc(r.Run, r.Service+", "+r.Pipe+", "+moment(r.StartedAt)))
		}
	})
	return ids
}

// peek calls f with the repository, if there is one: completing a word must not
// create it.
func (c *common) peek(ctx context.Context, f func(store builddata.Store)) {
	config, err := c.app()
	if err != nil {
		return
	}
	if exists, err := config.Repository.Exists(ctx); err != nil || !exists {
		return
	}
	store, err := config.Open(ctx)
	if err != nil {
		return
	}
	f(store)
	_ = store.Close() // nothing was written
}
