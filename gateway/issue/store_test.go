package issue

import (
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/gwtest"
	"sallyport/registry/store"
)

// newStore is the adapter over the gateway's engine.
func newStore(t *testing.T) Store {
	t.Helper()
	b, err := store.OpenBolt(filepath.Join(t.TempDir(), "registry.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return Store{b}
}

func TestACMEStoreKeepsToItsPrefix(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	if _, err := s.Get(ctx, "names/a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want fs.ErrNotExist", err)
	}
	if _, err := s.Commit(ctx, store.Txn{Then: []store.Change{{Key: "names/a", Value: []byte("another's")}}}); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"1", "2"} { // without a condition
		if err := s.Put(ctx, "names/a", []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.Put(ctx, "names/b", []byte("3")), s.Put(ctx, "keys/b", []byte("4"))); err != nil {
		t.Fatal(err)
	}
	all, err := s.List(ctx, "names/")
	if d := cmp.Diff(map[string][]byte{"names/a": []byte("2"), "names/b": []byte("3")}, all); d != "" || err != nil {
		t.Errorf("%v, %s", err, d)
	}
	for range 2 { // the second time there is none
		if err := s.Delete(ctx, "names/a"); err != nil {
			t.Error(err)
		}
	}
	if p, ok, err := s.Store.Get(ctx, "names/a"); !ok || string(p.Value) != "another's" || err != nil {
		t.Errorf("a key that is not acme's: %q, %t, %v", p.Value, ok, err)
	}
}

func TestACMELeaseHasOneOwnerUntilItEnds(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	lock := func(owner string, ttl time.Duration) bool {
		t.Helper()
		got, err := s.Lock(ctx, "locks/x", owner, ttl)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for range 2 { // the second time it is prolonged
		if !lock("a", time.Hour) || lock("b", time.Hour) {
			t.Error("want the lease for a, and not for b")
		}
	}
	if err := s.Unlock(ctx, "locks/x", "b"); err != nil || lock("b", time.Hour) {
		t.Errorf("b has given back what is a's: %v", err)
	}
	if err := s.Unlock(ctx, "locks/x", "a"); err != nil || !lock("b", time.Millisecond) {
		t.Errorf("the lease was given back, and b does not get it: %v", err)
	}
	gwtest.Await(t, "the lease has ended by itself", func() bool { return lock("c", time.Hour) })
}

func TestOneOfManyGetsTheACMELease(t *testing.T) {
	s := newStore(t)
	var got atomic.Int32
	var all sync.WaitGroup
	for _, owner := range []string{"a", "b", "c", "d", "e", "f"} {
		all.Go(func() {
			ok, err := s.Lock(t.Context(), "locks/x", owner, time.Hour)
			if err != nil {
				t.Error(err)
			}
			if ok {
				got.Add(1)
			}
		})
	}
	all.Wait()
	if got.Load() != 1 {
		t.Errorf("%d have it", got.Load())
	}
}
