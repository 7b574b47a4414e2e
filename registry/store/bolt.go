package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Bolt is a Store in one file, for one gateway. A single goroutine writes: it commits
// all changes that wait together, with one sync of the disk. Page faults and
// panics caused by a damaged file are returned as errors.
type Bolt struct {
	db   *bolt.DB
	path string
	now  func() time.Time

	commits chan *pending
	closing chan struct{}
	close   func() error // once
	written sync.WaitGroup
	history history
}

var _ Store = (*Bolt)(nil)

// pending is a commit on its way through the writer.
type pending struct {
	txn      Txn
	revision int64
	err      error
	done     chan struct{}
}

// maxBatch bounds the commits that share one sync.
const maxBatch = 256

var errClosed = errors.New("store: closed")

// Get implements Store.
func (b *Bolt) Get(_ context.Context, key string) (p Pair, ok bool, err error) {
	err = b.view(func(f file) error {
		p, ok, err = f.get(key)
		return err
	})
	return p, ok && err == nil, err
}

// List implements Store.
func (b *Bolt) List(_ context.Context, prefix string) (all []Pair, revision int64, err error) {
	err = b.view(func(f file) error {
		revision = f.state.revision
		all, err = f.list(prefix)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return all, revision, nil
}

// Commit implements Store.
func (b *Bolt) Commit(ctx context.Context, t Txn) (int64, error) {
	if err := t.check(); err != nil {
		return 0, err
	}
	p := &pending{txn: t, done: make(chan struct{})}
	select {
	case b.commits <- p:
	case <-b.closing:
		return 0, errClosed
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	select {
	case <-p.done:
		return p.revision, p.err
	case <-ctx.Done(): // the disk hangs: the change may be written later
		return 0, context.Cause(ctx)
	}
}

// Close ends the writer after the commits that it has begun, and closes the file. A second
// call does nothing.
func (b *Bolt) Close() error { return b.close() }

// write commits until Close.
func (b *Bolt) write() {
	for {
		select {
		case p := <-b.commits:
			b.writeAll(b.waiting(p))
		case <-b.closing:
			return
		}
	}
}

// waiting returns first and the commits that arrived while the disk was busy.
func (b *Bolt) waiting(first *pending) []*pending {
	batch := []*pending{first}
	for len(batch) < maxBatch {
		select {
		case p := <-b.commits:
			batch = append(batch, p)
		default:
			return batch
		}
	}
	return batch
}

func (b *Bolt) writeAll(batch []*pending) {
	var events []Event
	err := b.update(func(f *file) error {
		for _, p := range batch {
			made, err := f.commit(p.txn)
			if errors.Is(err, ErrConflict) {
				p.err = err
				continue
			}
			if err != nil {
				return err
			}
			p.revision = f.state.revision
			events = append(events, made...)
		}
		return nil
	})
	if err == nil {
		b.history.add(events)
	}
	for _, p := range batch {
		if err != nil {
			p.revision, p.err = 0, err
		}
		close(p.done)
	}
}

func (b *Bolt) view(do func(file) error) error {
	return b.run(func() error {
		return b.db.View(func(tx *bolt.Tx) error {
			f, err := newFile(tx, b.now())
			if err != nil {
				return err
			}
			return do(f)
		})
	})
}

func (b *Bolt) update(do func(*file) error) error {
	return b.run(func() error {
		return b.db.Update(func(tx *bolt.Tx) error {
			f, err := newFile(tx, b.now())
			if err != nil {
				return err
			}
			before := f.state
			if err := do(&f); err != nil {
				return err
			}
			if f.state == before {
				return errUnchanged
			}
			return f.saveState()
		})
	})
}

// errUnchanged rolls back a transaction that changes nothing.
var errUnchanged = errors.New("nothing to write")

func (b *Bolt) run(do func() error) error {
	err := guard(do)
	if err == nil || errors.Is(err, errUnchanged) {
		return nil
	}
	return fmt.Errorf("store %s: %w", b.path, err)
}
