package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pipes-as-code/terraform-provider-delivery/internal/builddata"
	"github.com/pipes-as-code/terraform-provider-delivery/internal/clock"
)

const (
	ada   = "ada@ci-7"
	grace = "grace@laptop"
)

// Leases tests what every builddata.Leases guarantees.
func Leases(t *testing.T, fresh Fresh) {
	runAll(t, fresh, []promise{
		{"LeaseIsHeldUntilItExpires", leaseIsHeldUntilItExpires},
		{"LeaseIsHeldUntilItIsReleased", leaseIsHeldUntilItIsReleased},
		{"HolderCanBeRead", leaseHolderCanBeRead},
		{"LeasesOfDifferentNamesAreIndependent", leasesOfDifferentNamesAreIndependent},
		{"TimesAreUTCInMicroseconds", leaseTimesAreUTCInMicroseconds},
		{"TokensRise", leaseTokensRise},
		{"OneClientOfManyAcquiresALease", leaseOneClientOfManyAcquiresALease},
		{"RenewMovesTheExpiry", leaseRenewMovesTheExpiry},
		{"ExpiredLeaseCanBeRenewedUntilItIsAcquired", leaseExpiredLeaseCanBeRenewedUntilItIsAcquired},
		{"RenewOfALostLeaseNamesTheNewHolder", leaseRenewOfALostLeaseNamesTheNewHolder},
		{"RenewOfAReleasedLeaseIsLost", leaseRenewOfAReleasedLeaseIsLost},
		{"RenewOfANonexistentLeaseIsLost", leaseRenewOfANonexistentLeaseIsLost},
		{"ReleaseMayBeRepeated", leaseReleaseMayBeRepeated},
		{"ReleaseOfALostLeaseKeepsTheNewOne", leaseReleaseOfALostLeaseKeepsTheNewOne},
		{"InvalidRequestsChangeNothing", leaseInvalidRequestsChangeNothing},
	})
}

func leaseIsHeldUntilItExpires(t *testing.T, fresh Fresh) {
	hands, s, other := two(t, fresh)
	want := builddata.Lease{Service: "web", Name: "web", Holder: ada, Token: 1, AcquiredAt: noon, ExpiresAt: noon.Add(time.Minute)}
	equal(t, acquire(t, s, "web", ada), want)
	hands.Set(want.ExpiresAt.Add(-time.Microsecond))
	isHeld(t, other, grace, want)
	isHeld(t, s, ada, want) // by an earlier call

	hands.Set(want.ExpiresAt)
	equal(t, acquire(t, other, "web", grace), builddata.Lease{
		Service: "web", Name: "web", Holder: grace, Token: 2, AcquiredAt: want.ExpiresAt, ExpiresAt: want.ExpiresAt.Add(time.Minute),
	})
}

func leaseIsHeldUntilItIsReleased(t *testing.T, fresh Fresh) {
	_, s, other := two(t, fresh)
	l := acquire(t, s, "web", ada)
	isHeld(t, other, grace, l)
	ok(t, s.Release(t.Context(), l))
	equal(t, acquire(t, other, "web", grace).Token, 2)
}

func leaseHolderCanBeRead(t *testing.T, fresh Fresh) {
	hands, s, other := two(t, fresh)
	if _, err := s.Lease(t.Context(), "web", "web"); !errors.Is(err, builddata.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	want := acquire(t, s, "web", ada)
	hands.Set(want.ExpiresAt.Add(time.Hour)) // a lease that has expired is returned as well
	got, err := other.Lease(t.Context(), "web", "web")
	ok(t, err)
	equal(t, got, want)
	ok(t, s.Release(t.Context(), want))
	if _, err := other.Lease(t.Context(), "web", "web"); !errors.Is(err, builddata.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func leasesOfDifferentNamesAreIndependent(t *testing.T, fresh Fresh) {
	_, s, other := two(t, fresh)
	equal(t, acquire(t, s, "web", ada).Token, 1)
	equal(t, acquire(t, other, "api", grace).Token, 1)
	l, err := other.Acquire(t.Context(), builddata.LeaseRequest{Service: "api", Name: "web", Holder: grace, TTL: time.Minute})
	ok(t, err)
	equal(t, l.Token, 1)
	equal(t, l.Service, "api")
}

func leaseTimesAreUTCInMicroseconds(t *testing.T, fresh Fresh) {
	hands, s, other := two(t, fresh)
	hands.Set(noon.Add(1234567 * time.Nanosecond).In(time.FixedZone("", 3600)))
	l, err := s.Acquire(t.Context(), request("web", ada, time.Second+999))
	ok(t, err)
	at := noon.Add(1234 * time.Microsecond)
	equal(t, l, builddata.Lease{Service: "web", Name: "web", Holder: ada, Token: 1, AcquiredAt: at, ExpiresAt: at.Add(time.Second)})
	isHeld(t, other, grace, l)
}

func leaseTokensRise(t *testing.T, fresh Fresh) {
	hands, s, other := two(t, fresh)
	var got []int64
	for i := range 6 {
		client := []builddata.Store{s, other}[i%2]
		l := acquire(t, client, "web", fmt.Sprint("holder ", i))
		got = append(got, l.Token)
		if i%3 == 0 {
			hands.Set(l.ExpiresAt)
			continue
		}
		ok(t, client.Release(t.Context(), l))
	}
	equal(t, got, []int64{1, 2, 3, 4, 5, 6})
}

func leaseOneClientOfManyAcquiresALease(t *testing.T, fresh Fresh) {
	opener := fresh(t)
	winners := concurrently(t, 8, func(i int) []string {
		holder := fmt.Sprint("client ", i)
		l, err := opener(t, clock.System{}).Acquire(t.Context(), request("web", holder, time.Hour))
		switch {
		case err == nil && l.Holder == holder:
			return []string{holder}
		case !isA[*builddata.HeldError](err):
			t.Errorf("got %v, want a HeldError", err)
		}
		return nil
	})
	equal(t, len(winners), 1)
}

func leaseRenewMovesTheExpiry(t *testing.T, fresh Fresh) {
	hands, s, other := two(t, fresh)
	l := acquire(t, s, "web", ada)
	now := noon.Add(40 * time.Second)
	hands.Set(now)
	renewed, err := s.Renew(t.Context(), l, time.Minute)
	ok(t, err)
	want := l
	want.ExpiresAt = now.Add(time.Minute)
	equal(t, renewed, want)
	hands.Set(l.ExpiresAt)
	isHeld(t, other, grace, want)

	// Also from its earlier value: a client may have missed the reply.
	renewed, err = s.Renew(t.Context(), l, time.Second)
	ok(t, err)
	equal(t, renewed.ExpiresAt, l.ExpiresAt.Add(time.Second))
}

func leaseExpiredLeaseCanBeRenewedUntilItIsAcquired(t *testing.T, fresh Fresh) {
	hands, s, other := two(t, fresh)
	l := acquire(t, s, "web", ada)
	now := l.ExpiresAt.Add(time.Hour)
	hands.Set(now)
	renewed, err := s.Renew(t.Context(), l, time.Minute)
	ok(t, err)
	l.ExpiresAt = now.Add(time.Minute)
	equal(t, renewed, l)
	isHeld(t, other, grace, l)
}

func leaseRenewOfALostLeaseNamesTheNewHolder(t *testing.T, fresh Fresh) {
	hands, s, other := two(t, fresh)
	l := acquire(t, s, "web", ada)
	hands.Set(l.ExpiresAt)
	now := acquire(t, other, "web", grace)
	_, err := s.Renew(t.Context(), l, time.Minute)
	isLost(t, err, l, now)
	isHeld(t, s, ada, now)

	// Not even after the later lease has expired or was released.
	hands.Set(now.ExpiresAt)
	_, err = s.Renew(t.Context(), l, time.Minute)
	isLost(t, err, l, now)
	ok(t, other.Release(t.Context(), now))
	_, err = s.Renew(t.Context(), l, time.Minute)
	isLost(t, err, l, builddata.Lease{})
	equal(t, acquire(t, s, "web", ada).Token, 3)
}

func leaseRenewOfAReleasedLeaseIsLost(t *testing.T, fresh Fresh) {
	_, s, _ := two(t, fresh)
	l := acquire(t, s, "web", ada)
	ok(t, s.Release(t.Context(), l))
	_, err := s.Renew(t.Context(), l, time.Minute)
	isLost(t, err, l, builddata.Lease{})
	equal(t, acquire(t, s, "web", ada).Token, 2)
}

func leaseRenewOfANonexistentLeaseIsLost(t *testing.T, fresh Fresh) {
	_, s, _ := two(t, fresh)
	for _, token := range []int64{0, 1} {
		l := builddata.Lease{Service: "web", Name: "web", Holder: ada, Token: token}
		_, err := s.Renew(t.Context(), l, time.Minute)
		isLost(t, err, l, builddata.Lease{})
	}
}

func leaseReleaseMayBeRepeated(t *testing.T, fresh Fresh) {
	_, s, _ := two(t, fresh)
	l := acquire(t, s, "web", ada)
	ok(t, s.Release(t.Context(), l))
	ok(t, s.Release(t.Context(), l))
	ok(t, s.Release(t.Context(), builddata.Lease{Service: "web", Name: "api", Holder: ada, Token: 7}))
	equal(t, acquire(t, s, "web", ada).Token, 2)
	equal(t, acquire(t, s, "api", ada).Token, 1)
}

func leaseReleaseOfALostLeaseKeepsTheNewOne(t *testing.T, fresh Fresh) {
	hands, s, other := two(t, fresh)
	l := acquire(t, s, "web", ada)
	hands.Set(l.ExpiresAt)
	now := acquire(t, other, "web", grace)
	ok(t, s.Release(t.Context(), l))
	isHeld(t, s, ada, now)
}

func leaseInvalidRequestsChangeNothing(t *testing.T, fresh Fresh) {
	_, s, _ := two(t, fresh)
	if _, err := s.Acquire(t.Context(), request("", ada, time.Minute)); err == nil {
		t.Error("a lease without a name was accepted")
	}
	if _, err := s.Acquire(t.Context(), request("web", "", time.Minute)); err == nil {
		t.Error("a lease without a holder was accepted")
	}
	if _, err := s.Acquire(t.Context(), request("web", ada, 0)); err == nil {
		t.Error("a lease without a time to live was accepted")
	}
	l := acquire(t, s, "web", ada)
	equal(t, l.Token, 1)
	if _, err := s.Renew(t.Context(), l, -time.Second); err == nil {
		t.Error("a renewal into the past was accepted")
	}
	isHeld(t, s, grace, l)
}

// request returns a request for a lease of the service web.
func request(name, holder string, ttl time.Duration) builddata.LeaseRequest {
	return builddata.LeaseRequest{Service: "web", Name: name, Holder: holder, TTL: ttl}
}

// two opens an empty repository for two clients with one clock.
func two(t *testing.T, fresh Fresh) (hands *clock.Fake, s, other builddata.Store) {
	opener := fresh(t)
	hands = clock.NewFake(noon)
	return hands, opener(t, hands), opener(t, hands)
}

// acquire takes a lease for a minute.
func acquire(t *testing.T, s builddata.Leases, name, holder string) builddata.Lease {
	t.Helper()
	l, err := s.Acquire(t.Context(), request(name, holder, time.Minute))
	ok(t, err)
	return l
}

// isHeld checks that holder cannot acquire the lease because want holds it.
func isHeld(t *testing.T, s builddata.Leases, holder string, want builddata.Lease) {
	t.Helper()
	_, err := s.Acquire(t.Context(), request(want.Name, holder, time.Minute))
	var held *builddata.HeldError
	if !errors.As(err, &held) || !errors.Is(err, builddata.ErrConflict) {
		t.Errorf("got %v, want a HeldError", err)
		return
	}
	equal(t, held.Lease, want)
}

// isLost checks that err says that l was lost, and that now is the later lease.
func isLost(t *testing.T, err error, l, now builddata.Lease) {
	t.Helper()
	var lost *builddata.LostError
	if !errors.As(err, &lost) || !errors.Is(err, builddata.ErrConflict) {
		t.Errorf("got %v, want a LostError", err)
		return
	}
	equal(t, *lost, builddata.LostError{Name: l.Name, Holder: l.Holder, Now: now})
}
