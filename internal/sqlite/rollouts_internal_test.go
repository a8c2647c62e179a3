package sqlite

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
)

// What a walk through a rollout asks again and again must not take longer
// because there is a long history.
func TestRollouts_QueriesUseIndexes(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "delivery.db"), clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // only read
	web := builddata.RolloutQuery{Service: "web", Environment: "production", Region: "eu-north-1"}
	open, next, allOpen := web, web, builddata.RolloutQuery{Open: true}
	open.Open = true
	next.Before = "r-1"
	type query struct {
		text string
		args []any
	}
	of := func(q builddata.RolloutQuery) query {
		text, args := rolloutsQuery(q)
		return query{text, args}
	}
	for _, tt := range []struct {
		name  string
		query query
		want  string
		// sorts says that all rows found are sorted, because they are few.
		sorts bool
	}{
		{"OpenOfACluster", of(open), "SEARCH rollouts USING INDEX rollouts_open (service=? AND environment=? AND region=?)", false},
		{"LatestOfACluster", of(web), "SEARCH rollouts USING INDEX rollouts_by_cluster (service=? AND environment=? AND region=?)", false},
		{"NextOfACluster", of(next), "SEARCH rollouts USING INDEX rollouts_by_cluster (service=? AND environment=? AND region=? AND seq<?)", false},
		{"AllOpen", of(allOpen), "SCAN rollouts USING INDEX rollouts_open", true},
		// In the order of the table, so the limit ends it.
		{"Latest", of(builddata.RolloutQuery{}), "SCAN rollouts", false},
		{"One", query{rolloutQuery, []any{"r-1"}}, "SEARCH rollouts USING INDEX sqlite_autoindex_rollouts_1 (id=?)", false},
		{"Entries", query{entriesQuery, []any{"r-1"}}, "SEARCH rollout_entries USING PRIMARY KEY (rollout=?)", false},
		{"LastEntry", query{lastEntryQuery, []any{"r-1"}}, "SEARCH rollout_entries USING PRIMARY KEY (rollout=?)", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rows, err := s.db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+tt.query.text, tt.query.args...)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close() //nolint:errcheck // rows.Err below reports it
			var plan []string
			for rows.Next() {
				var id, parent, unused int
				var detail string
				if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
					t.Fatal(err)
				}
				plan = append(plan, detail)
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
			all := strings.Join(plan, "\n")
			if len(plan) == 0 || plan[0] != tt.want || strings.Contains(all, "TEMP B-TREE") != tt.sorts {
				t.Errorf("got the plan\n%s\nwant %q, sorting: %t", all, tt.want, tt.sorts)
			}
		})
	}
}
