package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/catalog"
)

// serviceFlags are the flags of commands about a service.
type serviceFlags struct {
	projectFlags
	service string
}

func newServiceFlags(c *common) *serviceFlags {
	return &serviceFlags{projectFlags: projectFlags{common: c}}
}

func (s *serviceFlags) addTo(cmd *cobra.Command) {
	s.projectFlags.addTo(cmd)
	cmd.Flags().StringVar(&s.service, "service", "", "the service (default: that of .delivery.yml)")
}

// name is the service that is meant.
func (s *serviceFlags) name() (string, error) {
	if s.service != "" {
		return s.service, nil
	}
	_, project, err := s.project()
	if err != nil {
		return "", fmt.Errorf("%w\nOr name the service with --service", err)
	}
	return project.Service, nil
}

// with calls f with the repository and the service.
func (s *serviceFlags) with(ctx context.Context, f func(store builddata.Store, service string) error) (err error) {
	service, err := s.name()
	if err != nil {
		return err
	}
	store, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return f(store, service)
}

func newVersion(c *common) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:                        "version",
		Short:                      "Allocate versions, look at them, revoke them",
		SuggestionsMinimumDistance: 2,
	})
	cmd.AddCommand(newVersionNext(c), newVersionList(c), newVersionShow(c), newVersionRevoke(c))
	return cmd
}

func newVersionNext(c *common) *cobra.Command {
	s := newServiceFlags(c)
	var a builddata.Allocation
	var scheme, bump string
	var labels []string
	cmd := &cobra.Command{
		Use:   "next",
		Short: "Allocate the next version of a service",
		Long: `Allocate the next version of a service, and print it. The number is never handed
out again. With a key, asking again gives the same version.`,
		Example: `  delivery version next
  delivery version next --service strawberry --scheme semver --bump minor --key "$CI_JOB_ID"`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if a.Scheme, err = builddata.ParseScheme(scheme); err == nil && a.Scheme == builddata.Semver {
				a.Bump, err = builddata.ParseBump(bump)
			}
			if err == nil && a.Scheme != builddata.Semver && cmd.Flags().Changed("bump") {
				err = fmt.Errorf("--bump is for versions of scheme %s, and this is %s: add --scheme %s, or leave --bump out", builddata.Semver, a.Scheme, builddata.Semver)
			}
			if err != nil {
				return &usageError{err}
			}
			values, err := assignments(labels)
			if err != nil {
				return err
			}
			a.Labels = values
			return s.with(cmd.Context(), func(store builddata.Store, service string) error {
				a.Service = service
				v, err := store.Allocate(cmd.Context(), a)
				if err != nil {
					return err
				}
				if s.output == asJSON {
					view, err := s.catalog(store).Staged(cmd.Context(), v)
					if err != nil {
						return err
					}
					return s.printJSON(view)
				}
				_, err = fmt.Fprintln(s.out, v.Name)
				return err
			})
		},
	}
	s.addTo(cmd)
	flags := cmd.Flags()
	flags.StringVar(&scheme, "scheme", string(builddata.Sequence), "sequence, semver or calver")
	flags.StringVar(&bump, "bump", string(builddata.Patch), "the part that a semver version rises by: major, minor or patch")
	flags.StringVar(&a.Key, "key", "", "what the version stands for: the same key gives the same version")
	flags.StringVar(&a.SourceRevision, "revision", "", "the SCM revision that is built")
	flags.StringArrayVar(&labels, "set", nil, "name=value to keep with the version; may be repeated")
	complete(cmd, "scheme", oneOf(builddata.Schemes...))
	complete(cmd, "bump", oneOf(builddata.Bumps...))
	return cmd
}

func newVersionList(c *common) *cobra.Command {
	s := newServiceFlags(c)
	q := builddata.VersionQuery{}
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the versions of a service, the newest first",
		Example: "  delivery version list --service strawberry --limit 10",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.with(cmd.Context(), func(store builddata.Store, service string) error {
				q.Service = service
				views, err := s.catalog(store).Versions(cmd.Context(), q)
				if err != nil {
					return err
				}
				if s.output == asJSON {
					return s.printJSON(views)
				}
				if len(views) == 0 {
					text := "The repository knows no versions of " + service
					if q.SourceRevision != "" {
						text += fmt.Sprintf(" at revision %s: give the whole revision, as \"--output json\" shows it", q.SourceRevision)
					}
					_, err := fmt.Fprintf(s.out, "%s.\n", text)
					return err
				}
				rows := [][]string{{"VERSION", "CREATED", "REVISION", "STAGES", ""}}
				for _, v := range views {
					note := ""
					if v.RevokedAt != nil {
						note = "revoked: " + v.RevokedReason
					}
					rows = append(rows, []string{v.Version, moment(v.CreatedAt), brief(v.SourceRevision), strings.Join(v.Stages, ", "), note})
				}
				return table(s.out, rows)
			})
		},
	}
	s.addTo(cmd)
	cmd.Flags().IntVar(&q.Limit, "limit", 20, "how many to list at most")
	cmd.Flags().Int64Var(&q.Before, "before", 0, "continue behind the version of this number")
	cmd.Flags().StringVar(&q.SourceRevision, "revision", "", "only those of this SCM revision, which has to be whole")
	cmd.Flags().BoolVar(&q.IncludeRevoked, "revoked", false, "list those that were revoked, too")
	return cmd
}

func newVersionShow(c *common) *cobra.Command {
	s := newServiceFlags(c)
	cmd := &cobra.Command{
		Use:     "show VERSION",
		Short:   "Show a version and what happened to it",
		Example: "  delivery version show 17",
		Args:    exactly("VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return s.with(ctx, func(store builddata.Store, service string) error {
				history, err := s.catalog(store).History(ctx, service, args[0])
				if err != nil {
					return err
				}
				if s.output == asJSON {
					return s.printJSON(history)
				}
				if err := printVersion(s.out, history.Version); err != nil {
					return err
				}
				return printEvents(s.out, history.Events)
			})
		},
	}
	s.addTo(cmd)
	completeArgument(cmd, s.versionNames)
	return cmd
}

func printVersion(out io.Writer, v catalog.Version) error {
	text := fmt.Sprintf("%s %s, number %d, allocated at %s", v.Service, v.Version, v.Number, moment(v.CreatedAt))
	if v.SourceRevision != "" {
		text += " for revision " + v.SourceRevision
	}
	if len(v.Stages) > 0 {
		text += "\nPromoted to " + strings.Join(v.Stages, ", ")
	}
	if v.RevokedAt != nil {
		text += fmt.Sprintf("\nRevoked at %s: %s", moment(*v.RevokedAt), v.RevokedReason)
	}
	_, err := fmt.Fprintln(out, text)
	return err
}

func newVersionRevoke(c *common) *cobra.Command {
	s := newServiceFlags(c)
	var reason string
	cmd := &cobra.Command{
		Use:   "revoke VERSION",
		Short: "Say that a version must not be used any more",
		Long: `Say that a version must not be used any more: no image of it is offered, and no
cluster takes it. What runs goes on running. The history stays.`,
		Example: "  delivery version revoke 17 --reason \"loses orders\"",
		Args:    exactly("VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(reason) == "" {
				return &usageError{errors.New("--reason is missing: say why, for whoever wants to use the version")}
			}
			return s.with(cmd.Context(), func(store builddata.Store, service string) error {
				v, err := store.Revoke(cmd.Context(), service, args[0], reason)
				if err != nil {
					return err
				}
				view, err := s.catalog(store).Staged(cmd.Context(), v)
				if err != nil {
					return err
				}
				if s.output == asJSON {
					return s.printJSON(view)
				}
				return printVersion(s.out, view)
			})
		},
	}
	s.addTo(cmd)
	completeArgument(cmd, s.versionNames)
	cmd.Flags().StringVar(&reason, "reason", "", "why")
	return cmd
}
