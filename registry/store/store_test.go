package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func newBolt(t testing.TB) *Bolt {
	t.Helper()
	b, err := OpenBolt(filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func reopen(t testing.TB, b *Bolt) *Bolt {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := OpenBolt(b.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func put(key, value string) Change { return Change{Key: key, Value: []byte(value)} }

func commit(t testing.TB, s Store, txn Txn) int64 {
	t.Helper()
	revision, err := s.Commit(t.Context(), txn)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func contents(t testing.TB, s Store, prefix string) map[string]string {
	t.Helper()
	all, _, err := s.List(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for _, p := range all {
		found[p.Key] = string(p.Value)
	}
	return found
}

func TestCommitIsAllOrNothing(t *testing.T) {
	b := newBolt(t)
	first := commit(t, b, Txn{If: []Condition{{"a", 0}}, Then: []Change{put("a", "1"), put("b", "2")}})
	for name, c := range map[string]Condition{
		"there, but should not be": {"a", 0},
		"of another revision":      {"a", first + 1},
		"not there":                {"c", first},
	} {
		_, err := b.Commit(t.Context(), Txn{If: []Condition{{"b", first}, c}, Then: []Change{put("b", "3"), put("c", "4")}})
		if !errors.Is(err, ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := contents(t, b, ""); len(got) != 2 || got["b"] != "2" {
		t.Errorf("store has %v", got)
	}
	second := commit(t, b, Txn{If: []Condition{{"a", first}}, Then: []Change{{Key: "a"}, put("b", "5")}})
	if second <= first {
		t.Errorf("revision %d after %d", second, first)
	}
	b = reopen(t, b)
	if got := contents(t, b, ""); len(got) != 1 || got["b"] != "5" {
		t.Errorf("store has %v after a restart", got)
	}
	if p, ok, err := b.Get(t.Context(), "b"); !ok || err != nil || p.Revision != second {
		t.Errorf("got %+v, %v, %v", p, ok, err)
	}
	if third := commit(t, b, Txn{Then: []Change{put("c", "")}}); third <= second {
		t.Errorf("revision %d after %d and a restart", third, second)
	}
	if p, ok, _ := b.Get(t.Context(), "c"); !ok || p.Value == nil {
		t.Error("an empty value is a value")
	}
}

func TestListHasThePrefixInOrder(t *testing.T) {
	b := newBolt(t)
	commit(t, b, Txn{Then: []Change{put("x/2", ""), put("x/10", ""), put("x", ""), put("y/1", "")}})
	all, revision, err := b.List(t.Context(), "x/")
	var keys []string
	for _, p := range all {
		keys = append(keys, p.Key)
	}
	if !slices.Equal(keys, []string{"x/10", "x/2"}) || revision != 1 || err != nil {
		t.Errorf("%v, revision %d, %v", keys, revision, err)
	}
}

func TestConcurrentCommitsLoseNothing(t *testing.T) {
	b := newBolt(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 { // one counter, raised by the goroutine that saw its latest revision
				for {
					p, _, err := b.Get(t.Context(), "n")
					if err != nil {
						t.Error(err)
						return
					}
					_, err = b.Commit(t.Context(), Txn{
						If: []Condition{{"n", p.Revision}}, Then: []Change{put("n", string(p.Value)+"x")},
					})
					if err == nil {
						break
					}
					if !errors.Is(err, ErrConflict) {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	if got := contents(t, b, "")["n"]; len(got) != 200 {
		t.Errorf("counted %d of 200", len(got))
	}
}

func TestPairWithTTLEndsOverARestartToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBolt(t)
		revision := commit(t, b, Txn{Then: []Change{{Key: "short", Value: []byte("1"), TTL: time.Minute}, put("long", "2")}})
		wait(59 * time.Second)
		b = reopen(t, b)
		if p, ok, _ := b.Get(t.Context(), "short"); !ok || p.Revision != revision {
			t.Error("gone too early")
		}
		wait(2 * time.Second)
		if got := contents(t, b, ""); len(got) != 1 {
			t.Errorf("after its time: %v", got)
		}
		commit(t, b, Txn{If: []Condition{{"short", 0}}, Then: []Change{put("new", "3")}})
		b = reopen(t, b) // drops it from the file
		commit(t, b, Txn{If: []Condition{{"short", 0}}, Then: []Change{put("short", "4")}})
		if got := contents(t, reopen(t, b), ""); len(got) != 3 {
			t.Errorf("at the end: %v", got)
		}
	})
}

func wait(d time.Duration) { <-time.After(d) }

func TestWatchYieldsEveryChangeInOrder(t *testing.T) {
	b := newBolt(t)
	first := commit(t, b, Txn{Then: []Change{put("before", "")}})
	var got []string
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	wg.Go(func() {
		for e, err := range b.Watch(ctx, first) {
			if err != nil {
				t.Error(err)
			}
			got = append(got, fmt.Sprintf("%d %s=%s %v", e.Revision-first, e.Key, e.Value, e.Value == nil))
			if len(got) == 3 {
				cancel()
			}
		}
	})
	commit(t, b, Txn{Then: []Change{put("a", "1"), put("b", "2")}})
	commit(t, b, Txn{Then: []Change{{Key: "a"}}})
	wg.Wait()
	if want := []string{"1 a=1 false", "1 b=2 false", "2 a= true"}; !slices.Equal(got, want) {
		t.Errorf("yielded %q, want %q", got, want)
	}
}

func TestWatchReportsLostChanges(t *testing.T) {
	b := newBolt(t)
	first := commit(t, b, Txn{Then: []Change{put("a", "1")}})
	second := commit(t, b, Txn{Then: []Change{put("a", "2")}})
	b = reopen(t, b)
	for _, err := range b.Watch(t.Context(), first) {
		if !errors.Is(err, ErrCompacted) {
			t.Errorf("from before the start: %v", err)
		}
	}
	var h history
	h.start(second)
	for i := range int64(2 * maxHistory) {
		h.add([]Event{{Pair{Revision: second + i/2 + 1}}}) // two of each revision
	}
	if len(h.events) > maxHistory || h.events[0].Revision != h.lost+1 {
		t.Errorf("%d events from %d on, lost up to %d", len(h.events), h.events[0].Revision, h.lost)
	}
	if _, _, err := h.since(h.lost - 1); !errors.Is(err, ErrCompacted) {
		t.Errorf("from what was dropped: %v", err)
	}
	if e, _, err := h.since(h.lost); len(e) != len(h.events) || err != nil {
		t.Errorf("from what is kept: %d, %v", len(e), err)
	}
}

func TestHistoryIsBoundedInBytes(t *testing.T) {
	var h history
	h.start(0)
	value := make([]byte, MaxValue)
	const commits = 3 * maxHistoryBytes / MaxValue
	for i := range int64(commits) {
		h.add([]Event{{Pair{Value: value, Revision: i + 1}}, {Pair{Revision: i + 1}}}) // evidence and record
	}
	const kept = maxHistoryBytes / MaxValue
	if len(h.events) != 2*kept || h.lost != commits-kept || h.events[0].Revision != h.lost+1 {
		t.Errorf("%d events from %d on, lost up to %d", len(h.events), h.events[0].Revision, h.lost)
	}
}

func TestCommitBeyondTheLimitsIsRefused(t *testing.T) {
	b := newBolt(t)
	for name, txn := range map[string]Txn{
		"nothing":      {},
		"no key":       {Then: []Change{put("", "1")}},
		"long key":     {Then: []Change{put(strings.Repeat("k", MaxKey+1), "1")}},
		"long value":   {Then: []Change{put("k", strings.Repeat("v", MaxValue+1))}},
		"many changes": {Then: slices.Repeat([]Change{put("k", "v")}, maxTxn+1)},
	} {
		if _, err := b.Commit(t.Context(), txn); err == nil {
			t.Errorf("%s: stored", name)
		}
	}
	commit(t, b, Txn{Then: []Change{put(strings.Repeat("k", MaxKey), strings.Repeat("v", MaxValue))}})
}

func TestStoreIsItsOwnersAlone(t *testing.T) {
	b := newBolt(t)
	if info, err := os.Stat(b.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if files, _ := os.ReadDir(filepath.Dir(b.path)); len(files) != 1 {
		t.Errorf("making it left %v", files)
	}
	if _, err := OpenBolt(b.path); err == nil || !strings.Contains(err.Error(), "another process holds it") {
		t.Errorf("a second gateway: %v", err)
	}
	b.Close()
	if err := os.Chmod(b.path, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenBolt(b.path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that all may write: %v", err)
	}
}

func TestClosedStoreAnswersWithErrors(t *testing.T) {
	b := newBolt(t)
	if err := errors.Join(b.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	_, err1 := b.Commit(t.Context(), Txn{Then: []Change{put("a", "1")}})
	_, _, err2 := b.Get(t.Context(), "a")
	_, _, err3 := b.List(t.Context(), "")
	if err1 == nil || err2 == nil || err3 == nil {
		t.Errorf("%v, %v, %v", err1, err2, err3)
	}
}
