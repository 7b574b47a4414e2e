package store

import (
	"context"
	"iter"
	"slices"
	"sort"
	"sync"
)

// A watcher may be this far behind. The bytes are bounded too, because 4096 changes of evidence
// may have 1 GiB.
const (
	maxHistory      = 4096     // changes
	maxHistoryBytes = 16 << 20 // of their values
)

// history is the latest changes of a Bolt, for its watchers.
type history struct {
	mu      sync.Mutex
	events  []Event       // oldest first
	bytes   int           // of their values
	lost    int64         // up to this revision they are no longer in events
	changed chan struct{} // closed when events grow
}

func (h *history) start(revision int64) {
	h.lost = revision
	h.changed = make(chan struct{})
}

func (h *history) add(events []Event) {
	if len(events) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, events...)
	for _, e := range events {
		h.bytes += len(e.Value)
	}
	extra := 0
	for ; extra < len(h.events) && (len(h.events)-extra > maxHistory || h.bytes > maxHistoryBytes || h.events[extra].Revision == h.lost); extra++ {
		h.lost = h.events[extra].Revision // and the rest of its commit: commits are kept whole
		h.bytes -= len(h.events[extra].Value)
	}
	h.events = slices.Delete(h.events, 0, extra)
	close(h.changed)
	h.changed = make(chan struct{})
}

// since returns the changes after the revision, and a channel that closes when there are more.
func (h *history) since(revision int64) ([]Event, <-chan struct{}, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if revision < h.lost {
		return nil, nil, ErrCompacted
	}
	from := sort.Search(len(h.events), func(i int) bool { return h.events[i].Revision > revision })
	return slices.Clone(h.events[from:]), h.changed, nil
}

// Watch implements Store.
func (b *Bolt) Watch(ctx context.Context, after int64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			events, changed, err := b.history.since(after)
			if err != nil {
				yield(Event{}, err)
				return
			}
			for _, e := range events {
				after = e.Revision
				if !yield(e, nil) {
					return
				}
			}
			if len(events) > 0 {
				continue
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			case <-b.closing:
				yield(Event{}, errClosed)
				return
			}
		}
	}
}
