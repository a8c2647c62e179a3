// Package keylock holds one mutex per key.
package keylock

import (
	"context"
	"sync"
)

// Locks are mutexes by key. The zero value is ready to use.
type Locks struct {
	mu    sync.Mutex
	byKey map[string]chan struct{}
}

// TryLock locks a key unless it is locked.
func (l *Locks) TryLock(key string) (unlock func(), ok bool) {
	lock := l.lock(key)
	select {
	case lock <- struct{}{}:
		return func() { <-lock }, true
	default:
		return nil, false
	}
}

// Lock locks a key, waiting until it can or ctx is done, whose cause it then
// returns.
func (l *Locks) Lock(ctx context.Context, key string) (unlock func(), err error) {
	lock := l.lock(key)
	select {
	case lock <- struct{}{}:
		return func() { <-lock }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (l *Locks) lock(key string) chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byKey == nil {
		l.byKey = map[string]chan struct{}{}
	}
	if l.byKey[key] == nil {
		l.byKey[key] = make(chan struct{}, 1)
	}
	return l.byKey[key]
}
