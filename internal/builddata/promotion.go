package builddata

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Promotions remembers which version was put at which stage.
type Promotions interface {
	// Promote puts a version at a stage. One that is there already, as the
	// latest, stays with its first time, if it may still be there. A version that may not be is a
	// *RequirementError or a *RevokedError, and one that does not exist is
	// ErrNotFound.
	Promote(ctx context.Context, p Promotion) (Promotion, error)
	// Promotions lists the promotions of a service, the latest first.
	Promotions(ctx context.Context, q PromotionQuery) ([]Promotion, error)
}

// Promotion says that a version has reached a stage.
type Promotion struct {
	Service string
	// Number is the version's.
	Number int64
	// Stage is a named point that versions are promoted to: "passed_test", "prod".
	Stage string
	// Requires are what must have happened to the version: the What of an
	// event, in any letter case, or the first words of it up to a dot, or its
	// Step. The latest event of each such step must have succeeded.
	Requires []string
	// Run is the pipe run it happened in; empty outside of one.
	Run string
	// At has microsecond precision and is in UTC; the store sets it.
	At time.Time
}

// PromotionQuery selects promotions, the latest first.
type PromotionQuery struct {
	Service string
	// Stage, when set, leaves out the other stages.
	Stage string
	// Number, when set, leaves out the other versions.
	Number int64
	// Limit bounds the page; 0 means DefaultPage.
	Limit int
}

// RequirementError says why a version may not be promoted. It matches ErrConflict.
type RequirementError struct {
	Version Version
	Stage   string
	// Unmet are the requirements that are not met, each with what is so instead.
	Unmet []string
}

func (e *RequirementError) Error() string {
	return fmt.Sprintf("version %s of %s cannot be promoted to %s: %s; it stays where it was",
		e.Version.Name, e.Version.Service, e.Stage, strings.Join(e.Unmet, "; "))
}

// Unwrap makes the error match ErrConflict.
func (e *RequirementError) Unwrap() error { return ErrConflict }

var stagePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Validate reports what no store may accept.
func (p Promotion) Validate() error {
	if err := ValidateService(p.Service); err != nil {
		return err
	}
	if p.Number < 1 {
		return fmt.Errorf("a promotion of %s names no version", p.Service)
	}
	if !stagePattern.MatchString(p.Stage) {
		return fmt.Errorf("stage %q: use 1 to 64 letters, digits, dots, underscores and hyphens, beginning with a letter or digit", p.Stage)
	}
	return nil
}
