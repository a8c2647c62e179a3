package builddata

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Deploys stores the latest deploy of each service to each environment, so that it can be
// read without the history.
type Deploys interface {
	// RecordDeploy stores a deploy that has succeeded, as Deploy.Record decides, in place of
	// the one before. A lease that was lost is a *LostError, and a version that does not
	// exist is ErrNotFound.
	RecordDeploy(ctx context.Context, l Lease, d Deploy) error
	// LatestDeploy returns the latest deploy of a service to an environment. ErrNotFound says
	// that there was none.
	LatestDeploy(ctx context.Context, service, environment string) (Deploy, error)
}

// Deploy is a successful deploy of a version to an environment, by a step of a run.
type Deploy struct {
	Service     string
	Environment string
	// Number is the number of the version, and Version its name, which the store sets.
	Number  int64
	Version string
	// Run is the run whose step deployed it, Step the name of the step.
	Run  string
	Step string
	// At is a Timestamp, set by the store.
	At time.Time
}

// DeployLease returns the name of the lease, among those of its service, under which an
// environment is deployed to.
func DeployLease(environment string) string { return "deploy:" + environment }

// Record decides whether the deploy may be stored, and returns it complete. The caller has
// checked that the lease is held, and read the version of the deploy.
func (d Deploy) Record(l Lease, v Version, now time.Time) (Deploy, error) {
	if err := d.validate(); err != nil {
		return Deploy{}, err
	}
	if l.Service != d.Service || l.Name != DeployLease(d.Environment) {
		return Deploy{}, fmt.Errorf("%w: the lease %s of service %s does not cover a deploy of service %s to %s",
			ErrConflict, l.Name, l.Service, d.Service, d.Environment)
	}
	d.Version, d.At = v.Name, Timestamp(now)
	return d, nil
}

func (d Deploy) validate() error {
	if err := ValidateService(d.Service); err != nil {
		return err
	}
	if d.Environment == "" || d.Step == "" {
		return errors.New("a deploy needs an environment and a step")
	}
	return ValidateRun(d.Run)
}

// CheckOrder returns an *OlderError if v is older than the version of the latest deploy.
// Older means a lower number: that it was allocated before.
func (d Deploy) CheckOrder(v Version) error {
	if v.Number < d.Number {
		return &OlderError{Version: v, Latest: d}
	}
	return nil
}

// OlderError says that a version is older than the one that was deployed last.
type OlderError struct {
	Version Version
	Latest  Deploy
}

func (e *OlderError) Error() string {
	return fmt.Sprintf("version %s of %s is older than version %s, which was deployed to %s at %s, in run %s",
		e.Version.Name, e.Version.Service, e.Latest.Version, e.Latest.Environment, e.Latest.At.Format(time.RFC3339), e.Latest.Run)
}
