package cluster

import (
	"hash/fnv"
	"slices"
)

// MaxPriority is the highest priority that a listener rule can have.
const MaxPriority = 50_000

// HighestFreePriority chooses the highest priority from least to most that is not taken; 0 if
// there is none.
func HighestFreePriority(taken []int32, least, most int32) int32 {
	for priority := most; priority >= least; priority-- {
		if !slices.Contains(taken, priority) {
			return priority
		}
	}
	return 0
}

// The priorities that a rule gets which names none. Lower ones are left for rules that name
// theirs, and higher ones for tools that take the next one after the highest that exists.
const (
	FirstFreePriority = 1000
	LastFreePriority  = 40_000
)

// FreePriority chooses a priority, from first to last, that is not taken; 0 if there is none.
// Where it begins to search depends on seed, so that different clusters rarely choose the same
// one at the same time.
func FreePriority(taken []int32, first, last int32, seed string) int32 {
	if first > last {
		return 0
	}
	n := last - first + 1
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(seed)) // never fails
	begin := int32(hash.Sum32() % uint32(n))
	for i := range n {
		if p := first + (begin+i)%n; !slices.Contains(taken, p) {
			return p
		}
	}
	return 0
}
