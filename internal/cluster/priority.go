package cluster

import "slices"

// MaxPriority is the highest priority that a listener rule can have.
const MaxPriority = 50_000

// FreePriority chooses the highest priority from least to most that is not taken.
func FreePriority(taken []int32, least, most int32) (priority int32, ok bool) {
	for priority := most; priority >= least; priority-- {
		if !slices.Contains(taken, priority) {
			return priority, true
		}
	}
	return 0, false
}
