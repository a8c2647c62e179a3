package builddata

import (
	"context"
	"iter"
)

// pages iterates over a list in pages of DefaultPage. Next returns the page after the last
// entry of the previous page, which is nil for the first page. The iteration ends after an
// error.
func pages[T any](next func(last *T) ([]T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var last *T
		for {
			page, err := next(last)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, one := range page {
				if !yield(one, nil) {
					return
				}
			}
			if len(page) < DefaultPage {
				return
			}
			last = &page[len(page)-1]
		}
	}
}

// AllVersions iterates over all the versions that q selects, whatever its limit.
func AllVersions(ctx context.Context, s Versions, q VersionQuery) iter.Seq2[Version, error] {
	q.Limit = DefaultPage
	return pages(func(last *Version) ([]Version, error) {
		if last != nil {
			q.Before = last.Number
		}
		return s.Versions(ctx, q)
	})
}

// AllEvents iterates over all the events that q selects, whatever its limit.
func AllEvents(ctx context.Context, s Events, q EventQuery) iter.Seq2[Event, error] {
	q.Limit = DefaultPage
	return pages(func(last *Event) ([]Event, error) {
		if last != nil {
			q.After = last.ID
		}
		return s.Events(ctx, q)
	})
}

// AllRuns iterates over all the runs that q selects, whatever its limit.
func AllRuns(ctx context.Context, s Runs, q RunQuery) iter.Seq2[Run, error] {
	q.Limit = DefaultPage
	return pages(func(last *Run) ([]Run, error) {
		if last != nil {
			q.Before = last.ID
		}
		return s.Runs(ctx, q)
	})
}

// AllRollouts iterates over all the rollouts that q selects, whatever its limit.
func AllRollouts(ctx context.Context, s Rollouts, q RolloutQuery) iter.Seq2[Rollout, error] {
	q.Limit = DefaultPage
	return pages(func(last *Rollout) ([]Rollout, error) {
		if last != nil {
			q.Before = last.ID
		}
		return s.Rollouts(ctx, q)
	})
}

// Collect returns all that an iteration yields, or its error.
func Collect[T any](all iter.Seq2[T, error]) ([]T, error) {
	var collected []T
	for one, err := range all {
		if err != nil {
			return nil, err
		}
		collected = append(collected, one)
	}
	return collected, nil
}
