package storetest

import "testing"

// Services tests what every builddata.Services guarantees.
func Services(t *testing.T, fresh Fresh) {
	runAll(t, fresh, []promise{
		{"EveryServiceIsListedOnce", servicesEveryServiceIsListedOnce},
	})
}

func servicesEveryServiceIsListedOnce(t *testing.T, fresh Fresh) {
	_, s, l := leased(t, fresh)
	all, err := s.Services(t.Context())
	ok(t, err)
	equal(t, len(all), 0)

	for range 2 {
		allocate(t, s, sequence("web"))
	}
	allocate(t, s, sequence("api"))
	ok(t, s.Begin(t.Context(), l, rollout("r-1")))
	worker := run("r-1")
	worker.Service = "worker"
	ok(t, s.SaveRun(t.Context(), worker))
	unversioned := rollout("r-1")
	unversioned.Service = "legacy"
	ok(t, s.Begin(t.Context(), leaseOf(t, s, "legacy"), unversioned))
	all, err = s.Services(t.Context())
	ok(t, err)
	equal(t, all, []string{"api", "legacy", "web", "worker"})
}
