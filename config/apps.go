package config

import "sallyport/internal/vm"

// AppSet is the set of all apps or of those listed. The zero AppSet is empty.
type AppSet struct {
	All bool       // "*"
	IDs []vm.AppID // unique; nil with All
}

// IsZero reports whether no app is in the set.
func (s AppSet) IsZero() bool { return !s.All && len(s.IDs) == 0 }

const allApps = "*"

// readApps reads a list of app ids, or ["*"].
func readApps(t table, key string) (s AppSet) {
	ids := list(t, key, nil, parseAppOrAll)
	first := make(map[vm.AppID]bool, len(ids))
	for i, id := range ids {
		switch {
		case id == allApps && len(ids) > 1:
			t.failItem(key, i, `"*" means all apps: want it alone`)
		case id == allApps:
			return AppSet{All: true}
		case first[id] && id != "":
			t.failItem(key, i, "%q is listed twice", id)
		default:
			first[id] = true
		}
	}
	s.IDs = ids
	return s
}

func parseAppOrAll(s string) (vm.AppID, error) {
	if s == allApps {
		return allApps, nil // not the id of an app: it is not a label
	}
	return vm.ParseAppID(s)
}
