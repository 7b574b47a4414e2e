package relay

import (
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/relay/inbox"
)

// What is posted runs once, in each poster's order, or post says that it will not.
func TestInboxLosesNothing(t *testing.T) {
	l := testLoop(t)
	const posters, each = 4, 5000
	var ran, refused atomic.Int64
	next := make([]int, posters) // the loop's alone
	var all sync.WaitGroup
	for p := range posters {
		all.Go(func() {
			for i := range each {
				ok := l.inbox.Post(func() {
					if next[p] > i {
						t.Errorf("number %d of poster %d ran after number %d", i, p, next[p]-1)
					}
					next[p] = i + 1
					ran.Add(1)
				})
				if !ok {
					refused.Add(1)
				}
			}
		})
	}
	events := make([]unix.EpollEvent, eventsPerRun)
	for ran.Load() < posters*each/2 {
		l.dispatch(events[:l.poller.Look(events, 1000)])
		l.inbox.Run()
	}
	l.inbox.Close() // while they still post
	all.Wait()
	if ran.Load()+refused.Load() != posters*each {
		t.Errorf("%d ran and %d were refused of %d", ran.Load(), refused.Load(), posters*each)
	}
	l.inbox = inbox.Inbox{}
	if err := l.openInbox(); err != nil { // for the cleanup
		t.Fatal(err)
	}
}
