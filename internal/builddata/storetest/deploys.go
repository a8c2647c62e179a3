package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
)

// Deploys tests what every builddata.Deploys guarantees.
func Deploys(t *testing.T, fresh Fresh) {
	runAll(t, fresh, []promise{
		{"LatestOfEachEnvironmentIsKept", deployLatestOfEachEnvironmentIsKept},
		{"LostLeaseChangesNothing", deployLostLeaseChangesNothing},
		{"InvalidDeploysChangeNothing", deployInvalidDeploysChangeNothing},
	})
}

func deployOf(environment string, number int64) builddata.Deploy {
	return builddata.Deploy{Service: "web", Environment: environment, Number: number, Run: "r-1", Step: "roll out"}
}

// noDeploy checks that no deploy to an environment is recorded.
func noDeploy(t *testing.T, s builddata.Store, environment string) {
	t.Helper()
	if d, err := s.LatestDeploy(t.Context(), "web", environment); !errors.Is(err, builddata.ErrNotFound) {
		t.Errorf("got %+v and %v for %s, want ErrNotFound", d, err, environment)
	}
}

func deployLatestOfEachEnvironmentIsKept(t *testing.T, fresh Fresh) {
	hands, s, other := two(t, fresh)
	for _, bump := range []builddata.Bump{builddata.Minor, builddata.Patch} {
		allocate(t, s, builddata.Allocation{Service: "web", Scheme: builddata.Semver, Bump: bump})
	}
	noDeploy(t, s, "prod")
	prod := acquire(t, s, builddata.DeployLease("prod"), ada)
	qa := acquire(t, other, builddata.DeployLease("qa"), grace)
	ok(t, s.RecordDeploy(t.Context(), prod, deployOf("prod", 2)))
	ok(t, other.RecordDeploy(t.Context(), qa, deployOf("qa", 1)))
	hands.Set(noon.Add(time.Second))
	ok(t, s.RecordDeploy(t.Context(), prod, deployOf("prod", 1))) // the latest counts, not the newest version
	for environment, at := range map[string]time.Time{"prod": noon.Add(time.Second), "qa": noon} {
		want := deployOf(environment, 1)
		want.Version, want.At = "0.1.0", at
		got, err := other.LatestDeploy(t.Context(), "web", environment)
		ok(t, err)
		equal(t, got, want)
	}
	noDeploy(t, s, "delivery")
}

func deployLostLeaseChangesNothing(t *testing.T, fresh Fresh) {
	_, s, other := two(t, fresh)
	allocate(t, s, sequence("web"))
	l := acquire(t, s, builddata.DeployLease("prod"), ada)
	ok(t, s.Release(t.Context(), l))
	acquire(t, other, builddata.DeployLease("prod"), grace)
	if err := s.RecordDeploy(t.Context(), l, deployOf("prod", 1)); !isA[*builddata.LostError](err) {
		t.Errorf("got %v, want a LostError", err)
	}
	noDeploy(t, s, "prod")
}

func deployInvalidDeploysChangeNothing(t *testing.T, fresh Fresh) {
	s := one(t, fresh)
	allocate(t, s, sequence("web"))
	prod := acquire(t, s, builddata.DeployLease("prod"), ada)
	for name, d := range map[string]builddata.Deploy{
		"no environment":    {Service: "web", Number: 1, Run: "r-1", Step: "roll out"},
		"no step":           {Service: "web", Environment: "prod", Number: 1, Run: "r-1"},
		"invalid run":       {Service: "web", Environment: "prod", Number: 1, Run: "../r", Step: "roll out"},
		"other environment": deployOf("qa", 1),
	} {
		if s.RecordDeploy(t.Context(), prod, d) == nil {
			t.Errorf("%s: it was recorded", name)
		}
		if d.Environment != "" {
			noDeploy(t, s, d.Environment)
		}
	}
	if err := s.RecordDeploy(t.Context(), prod, deployOf("prod", 2)); !errors.Is(err, builddata.ErrNotFound) {
		t.Errorf("got %v for a version that does not exist, want ErrNotFound", err)
	}
	noDeploy(t, s, "prod")
}
