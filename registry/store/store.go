package store

import (
	"context"
	"errors"
	"iter"
	"time"
)

// The limits of every Store.
const (
	MaxKey   = 256       // bytes of a key
	MaxValue = 256 << 10 // bytes of a value; etcd takes 1.5 MiB
	maxTxn   = 32        // conditions, and changes, of one Txn
)

// Store keeps small values under keys, in revisions. Its contract is what etcd v3
// promises too, because several nodes may share one: no caller may assume to be alone.
// All methods may be called concurrently.
//
// There are no separate locks and leases. A key that is put with a TTL, on condition that it is
// absent, is both: its holder puts it again before the TTL ends, and its revision is the fencing
// token.
type Store interface {
	// Get returns the pair of key. If there is none it reports false.
	Get(ctx context.Context, key string) (p Pair, ok bool, err error)

	// List returns the pairs whose keys begin with prefix, by key, and the one revision as of
	// which they are.
	List(ctx context.Context, prefix string) (all []Pair, revision int64, err error)

	// Commit makes the changes of t, all or none, if its conditions hold, and returns
	// when they are durable. It returns their revision, which is greater than
	// every earlier one. With ErrConflict nothing was changed. After any other error
	// they may or may not have been made; a condition on a key shows which.
	Commit(ctx context.Context, t Txn) (revision int64, err error)

	// Watch yields every change after the revision, in order, until ctx ends. Its
	// only errors are ErrCompacted and a failing store; both end it. The end of a
	// key's TTL may be yielded as a deletion, or not at all.
	Watch(ctx context.Context, after int64) iter.Seq2[Event, error]
}

// ErrConflict means that a condition of a Txn did not hold.
var ErrConflict = errors.New("store: conflict with another change")

// ErrCompacted means that the changes after a revision are no longer known: list
// again, and watch from there.
var ErrCompacted = errors.New("store: revision is too old to watch from")

// Pair is a key and its value. Revision is the commit that put it, never 0.
type Pair struct {
	Key      string
	Value    []byte
	Revision int64
}

// Txn is a set of changes that happen together or not at all.
type Txn struct {
	If   []Condition
	Then []Change // no key twice
}

// Condition holds if the pair of Key has the Revision; 0: there is no such pair.
type Condition struct {
	Key      string
	Revision int64
}

// Change puts Value under Key, or deletes Key if Value is nil. With a TTL the pair is
// gone after that time, over restarts too; 0 is never.
type Change struct {
	Key   string
	Value []byte
	TTL   time.Duration
}

// Event is one change as a watcher sees it: Value is nil if the pair was deleted.
type Event struct{ Pair }
