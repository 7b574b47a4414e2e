package registry

import (
	"context"
	"sync"

	"sallyport/internal/vm"
)

// lanes serialise the changes of each instance. A lane may be held over disk, kernel and network:
// only changes of the same instance wait for it.
type lanes struct {
	mu   sync.Mutex // guards busy and the lanes' users
	busy map[vm.InstanceID]*lane
}

type lane struct {
	turn  chan struct{} // holds one while a change is in it
	users int           // changes in it or waiting
}

// enter waits for its turn, or until ctx ends. The caller must call leave once.
func (l *lanes) enter(ctx context.Context, id vm.InstanceID) (leave func(), err error) {
	l.mu.Lock()
	n := l.busy[id]
	if n == nil {
		n = &lane{turn: make(chan struct{}, 1)}
		l.busy[id] = n
	}
	n.users++
	l.mu.Unlock()

	select {
	case n.turn <- struct{}{}:
		return func() {
			<-n.turn
			l.quit(id, n)
		}, nil
	case <-ctx.Done():
		l.quit(id, n)
		return nil, context.Cause(ctx)
	}
}

func (l *lanes) quit(id vm.InstanceID, n *lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n.users--; n.users == 0 {
		delete(l.busy, id)
	}
}
