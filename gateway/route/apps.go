package route

import (
	"sync/atomic"

	"sallyport/config"
	"sallyport/internal/vm"
)

// appList is a list of apps in the configuration that a reload replaces. Its methods
// may be called concurrently; before the first set no app is on it.
type appList struct{ inForce atomic.Pointer[listedApps] }

type listedApps struct {
	all bool
	ids map[vm.AppID]bool
}

// set makes apps the list for connections to come. Open ones stay as they are.
func (l *appList) set(apps config.AppSet) {
	listed := &listedApps{all: apps.All, ids: make(map[vm.AppID]bool, len(apps.IDs))}
	for _, id := range apps.IDs {
		listed.ids[id] = true
	}
	l.inForce.Store(listed)
}

// has reports whether the app is on the list.
func (l *appList) has(app vm.AppID) bool {
	listed := l.inForce.Load()
	return listed != nil && (listed.all || listed.ids[app])
}
