package awscloud

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/smithy-go"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/cluster"
)

// hasCode reports whether AWS answered with one of the error codes.
func hasCode(err error, codes ...string) bool {
	var e smithy.APIError
	return errors.As(err, &e) && slices.Contains(codes, e.ErrorCode())
}

// notYet turns an error with one of the codes into a *cluster.NotYetError, so
// that the call is made again: with these codes, AWS says that it is still
// working, or that it does not show everywhere yet what it has confirmed.
func notYet(err error, codes ...string) error {
	if hasCode(err, codes...) {
		return &cluster.NotYetError{Saw: err.Error(), Err: err}
	}
	return err
}

// What was made a second ago may not be visible everywhere yet: settle asks again for as long.
const (
	settleEvery  = time.Second
	settleWithin = 5 * time.Second
)

// settle calls f again while it fails with one of the codes, for settleWithin. Steps of a
// rollout are repeated by their caller; settle is for questions beside them.
func (c *Cloud) settle(ctx context.Context, codes []string, f func(ctx context.Context) error) error {
	var failed error
	err := clock.Poll(ctx, c.clock, settleEvery, settleWithin, func(ctx context.Context, _ time.Duration) (bool, string, error) {
		failed = f(ctx)
		return !hasCode(failed, codes...), "", nil
	})
	if failed != nil {
		return failed
	}
	return err
}

// visible returns a part of a generation that was created, or a
// *cluster.NotYetError if AWS does not show it yet.
func visible[T any](
	ctx context.Context, part string, g cluster.Generation, find func(context.Context, cluster.Generation) (*T, error),
) (*T, error) {
	found, err := find(ctx, g)
	if err == nil && found == nil {
		err = &cluster.NotYetError{Saw: fmt.Sprintf("%s %s does not exist, or is not visible yet", part, g.Name)}
	}
	return found, err
}

// mentions reports whether AWS's message contains one of the phrases. Use it only
// where AWS has one code for different errors.
func mentions(err error, phrases ...string) bool {
	var e smithy.APIError
	if !errors.As(err, &e) {
		return false
	}
	message := strings.ToLower(e.ErrorMessage())
	return slices.ContainsFunc(phrases, func(phrase string) bool { return strings.Contains(message, phrase) })
}
