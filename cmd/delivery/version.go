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
	"github.com/pipes-as-code/terraform-provider-delivery/internal/text"
)

// serviceFlags are the flags of commands for a service.
type serviceFlags struct {
	projectFlags
	service string
}

func newServiceFlags(c *common) *serviceFlags {
	return &serviceFlags{projectFlags: projectFlags{common: c}}
}

func (s *serviceFlags) addTo(cmd *cobra.Command) {
	s.projectFlags.addTo(cmd)
	cmd.Flags().StringVar(&s.service, "service", "", "name of the service (default: from .delivery.yml)")
}

// name returns the name of the service: from --service, or else from .delivery.yml.
func (s *serviceFlags) name() (string, error) {
	if s.service != "" {
		return s.service, nil
	}
	project, err := s.project()
	if err != nil {
		return "", fmt.Errorf("%w\nOr set the service with --service", err)
	}
	return project.Service, nil
}

// withStore calls f with the repository and the name of the service.
func (s *serviceFlags) withStore(ctx context.Context, f func(store builddata.Store, service string) error) (err error) {
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
	cmd := commandGroup(&cobra.Command{
		Use:                        "version",
		Short:                      "Allocate, list, show and revoke versions",
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
		Long: `Allocate the next version of a service and print its name. A number is never allocated
twice. With --key, the same command returns the same version again.`,
		Example: `  delivery version next
  delivery version next --service strawberry --scheme semver --bump minor --key "$CI_JOB_ID"`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if a.Scheme, err = builddata.ParseScheme(scheme); err == nil && a.Scheme == builddata.Semver {
				a.Bump, err = builddata.ParseBump(bump)
			}
			if err == nil && a.Scheme != builddata.Semver && cmd.Flags().Changed("bump") {
				err = fmt.Errorf("--bump applies to the scheme %s, not %s: add --scheme %s, or omit --bump", builddata.Semver, a.Scheme,
					builddata.Semver)
			}
			if err != nil {
				return &usageError{err}
			}
			values, err := assignments(labels)
			if err != nil {
				return err
			}
			a.Labels = values
			return s.withStore(cmd.Context(), func(store builddata.Store, service string) error {
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
	flags.StringVar(&scheme, "scheme", string(builddata.Sequence), "scheme of the version: sequence, semver or calver")
	flags.StringVar(&bump, "bump", string(builddata.Patch), "part of a semver version to raise: major, minor or patch")
	flags.StringVar(&a.Key, "key", "", "idempotency key: the same key returns the same version")
	flags.StringVar(&a.SourceRevision, "revision", "", "SCM revision that is built")
	flags.StringArrayVar(&labels, "set", nil, "name=value label to store with the version; can be repeated")
	complete(cmd, "scheme", oneOf(builddata.Schemes...))
	complete(cmd, "bump", oneOf(builddata.Bumps...))
	return cmd
}

func newVersionList(c *common) *cobra.Command {
	s := newServiceFlags(c)
	q := builddata.VersionQuery{}
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the versions of a service, newest first",
		Example: "  delivery version list --service strawberry --limit 10",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.withStore(cmd.Context(), func(store builddata.Store, service string) error {
				q.Service = service
				views, err := s.catalog(store).Versions(cmd.Context(), q)
				if err != nil {
					return err
				}
				if s.output == asJSON {
					return s.printJSON(views)
				}
				if len(views) == 0 {
					which := service
					if q.SourceRevision != "" {
						which += fmt.Sprintf(" at revision %s; use the full revision, as \"--output json\" shows it", q.SourceRevision)
					}
					_, err := fmt.Fprintf(s.out, "The repository knows no versions of %s.\n", which)
					return err
				}
				rows := [][]string{{"VERSION", "CREATED", "REVISION", "STAGES", ""}}
				for _, v := range views {
					note := ""
					if v.RevokedAt != nil {
						note = "revoked: " + v.RevokedReason
					}
					rows = append(rows, []string{
						v.Version, formatTime(v.CreatedAt), text.Revision(v.SourceRevision), strings.Join(v.Stages, ", "), note,
					})
				}
				return printTable(s.out, rows)
			})
		},
	}
	s.addTo(cmd)
	cmd.Flags().IntVar(&q.Limit, "limit", 20, "maximum number of versions to list")
	cmd.Flags().Int64Var(&q.Before, "before", 0, "list only versions with a lower number than this")
	cmd.Flags().StringVar(&q.SourceRevision, "revision", "", "list only versions of this SCM revision, which must not be abbreviated")
	cmd.Flags().BoolVar(&q.IncludeRevoked, "revoked", false, "include revoked versions")
	return cmd
}

func newVersionShow(c *common) *cobra.Command {
	s := newServiceFlags(c)
	cmd := &cobra.Command{
		Use:     "show VERSION",
		Short:   "Show a version and its events",
		Example: "  delivery version show 17",
		Args:    exactArgs("VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return s.withStore(ctx, func(store builddata.Store, service string) error {
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

// printVersion prints a version and its stages.
func printVersion(out io.Writer, v catalog.Version) error {
	description := fmt.Sprintf("%s %s, number %d, allocated at %s", v.Service, v.Version, v.Number, formatTime(v.CreatedAt))
	if v.SourceRevision != "" {
		description += " for revision " + v.SourceRevision
	}
	if len(v.Stages) > 0 {
		description += "\nPromoted to " + strings.Join(v.Stages, ", ")
	}
	if v.RevokedAt != nil {
		description += fmt.Sprintf("\nRevoked at %s: %s", formatTime(*v.RevokedAt), v.RevokedReason)
	}
	_, err := fmt.Fprintln(out, description)
	return err
}

func newVersionRevoke(c *common) *cobra.Command {
	s := newServiceFlags(c)
	var reason string
	cmd := &cobra.Command{
		Use:   "revoke VERSION",
		Short: "Revoke a version, so that it is no longer used",
		Long: `Revoke a version. Its images are no longer offered, and no cluster can be moved to it.
Running servers and the history of the version do not change.`,
		Example: "  delivery version revoke 17 --reason \"loses orders\"",
		Args:    exactArgs("VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(reason) == "" {
				return &usageError{errors.New("--reason is missing: say why the version must not be used")}
			}
			return s.withStore(cmd.Context(), func(store builddata.Store, service string) error {
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
	cmd.Flags().StringVar(&reason, "reason", "", "why the version must not be used")
	return cmd
}
