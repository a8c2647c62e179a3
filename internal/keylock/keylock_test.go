package keylock_test

import (
	"context"
	"errors"
	"testing"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/keylock"
)

func TestLocks(t *testing.T) {
	var locks keylock.Locks
	unlock, err := locks.Lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := locks.TryLock("a"); ok {
		t.Error("a was locked twice")
	}
	other, ok := locks.TryLock("b")
	if !ok {
		t.Fatal("b cannot be locked while a is")
	}
	other()
	interrupted := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(interrupted)
	if _, err := locks.Lock(ctx, "a"); !errors.Is(err, interrupted) {
		t.Errorf("got the error %v, want the cause of the context", err)
	}
	locked := make(chan func())
	go func() {
		unlock, err := locks.Lock(t.Context(), "a")
		if err != nil {
			t.Error(err)
		}
		locked <- unlock
	}()
	unlock()
	unlock = <-locked
	unlock()
	if unlock, ok = locks.TryLock("a"); !ok {
		t.Fatal("a is still locked")
	}
	unlock()
}
