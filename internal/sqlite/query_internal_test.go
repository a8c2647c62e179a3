package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
)

// TestQueries_UseIndexes checks that frequent queries do not take longer with a longer
// history.
func TestQueries_UseIndexes(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "delivery.db"), clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // only read
	cluster := builddata.RolloutQuery{Service: "web", Environment: "prod", Region: "eu-north-1"}
	open, next := cluster, cluster
	open.Open = true
	next.Before = "r-1"
	type query struct {
		text string
		args []any
	}
	of := func(text string, args []any) query { return query{text, args} }
	for _, tt := range []struct {
		name  string
		query query
		// want are the lines of the plan.
		want []string
	}{
		{
			"OpenRolloutOfACluster", of(rolloutsQuery(open)),
			[]string{"SEARCH rollouts USING INDEX rollouts_open (service=? AND environment=? AND region=?)"},
		},
		{
			"LatestRolloutOfACluster", of(rolloutsQuery(cluster)),
			[]string{"SEARCH rollouts USING INDEX rollouts_by_cluster (service=? AND environment=? AND region=?)"},
		},
		{"NextRolloutOfACluster", of(rolloutsQuery(next)), []string{
			"SEARCH rollouts USING INDEX rollouts_by_cluster (service=? AND environment=? AND region=? AND seq<?)",
			"SCALAR SUBQUERY 1", "SEARCH rollouts USING COVERING INDEX sqlite_autoindex_rollouts_1 (service=? AND id=?)",
		}},
		{
			"OneRollout", query{rolloutQuery, []any{"web", "r-1"}},
			[]string{"SEARCH rollouts USING INDEX sqlite_autoindex_rollouts_1 (service=? AND id=?)"},
		},
		{"EntriesOfARollout", query{entriesQuery, []any{"web", "r-1"}}, []string{
			"SEARCH rollout_entries USING PRIMARY KEY (rollout=?)",
			"SCALAR SUBQUERY 1", "SEARCH rollouts USING COVERING INDEX sqlite_autoindex_rollouts_1 (service=? AND id=?)",
		}},
		{"Clusters", of(clustersQuery(builddata.ClusterQuery{Service: "web"})), []string{
			"SEARCH c USING INDEX clusters_present (service=?)", "SEARCH r USING INTEGER PRIMARY KEY (rowid=?)",
		}},
		{"ClustersOfAnEnvironment", of(clustersQuery(builddata.ClusterQuery{Service: "web", Environment: "prod"})), []string{
			"SEARCH c USING INDEX clusters_present (service=? AND environment=?)", "SEARCH r USING INTEGER PRIMARY KEY (rowid=?)",
		}},
		{
			"EventsOfAVersion", of(eventsQuery(builddata.EventQuery{Service: "web", Number: 1})),
			[]string{"SEARCH events USING INDEX events_by_version (service=? AND number=?)"},
		},
		{
			"EventsOfARun", of(eventsQuery(builddata.EventQuery{Service: "web", Run: "r-1"})),
			[]string{"SEARCH events USING INDEX events_by_run (service=? AND run=?)"},
		},
		{
			"LatestPromotions", query{latestPromotionsQuery, []any{"web"}},
			[]string{"SEARCH s USING PRIMARY KEY (service=?)", "SEARCH p USING INTEGER PRIMARY KEY (rowid=?)"},
		},
		{"LatestDeploy", query{latestDeployQuery, []any{"web", "prod"}}, []string{
			"SEARCH d USING PRIMARY KEY (service=? AND environment=?)", "SEARCH v USING PRIMARY KEY (service=? AND number=?)",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plan, err := collect(t.Context(), s.db, func(r row) (detail string, err error) {
				var id, parent, unused int
				return detail, r.Scan(&id, &parent, &unused, &detail)
			}, "EXPLAIN QUERY PLAN "+tt.query.text, tt.query.args...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(plan, tt.want); diff != "" {
				t.Errorf("got (-) differs from want (+):\n%s", diff)
			}
		})
	}
}
