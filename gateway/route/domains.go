package route

import (
	"bytes"
	"strings"

	"sallyport/config"
	"sallyport/internal/vm"
	"sallyport/router"
)

// A reload replaces the served domains as a whole: a connection sees all of the old ones or
// all of the new ones.

// domains are the served domains. They are not changed.
type domains struct {
	all    []config.Domain
	router *router.Router
	apexes map[string]string // those that are served themselves, to themselves
	names  map[string]bool   // of all of them, in lower case
	labels int               // the most that one of the names has
}

func newDomains(all []config.Domain, snapshot func() *vm.Snapshot) *domains {
	d := &domains{all: all, apexes: map[string]string{}, names: make(map[string]bool, len(all))}
	var names []string
	for _, domain := range all {
		names = append(names, domain.Name)
		d.names[domain.Name] = true
		d.labels = max(d.labels, strings.Count(domain.Name, ".")+1)
		if domain.IncludeApex {
			d.apexes[domain.Name] = domain.Name
		}
	}
	d.router = router.New(router.Options{Domains: names, Snapshot: snapshot})
	return d
}

// apex returns name where it is a domain that is served itself, else "".
func (d *domains) apex(name []byte) string {
	return d.apexes[string(name)]
}

// isOurs reports whether name is a served domain or a name below one, which is never looked
// up in DNS. It looks for each end of the name that has no more
// labels than a domain has, so its cost does not grow with the number of domains:
// strangers choose the name, and a loop's thread asks.
func (d *domains) isOurs(name []byte) bool {
	start := len(name)
	for range d.labels {
		start = bytes.LastIndexByte(name[:start], '.')
		if d.names[string(name[start+1:])] {
			return true
		}
		if start < 0 {
			return false
		}
	}
	return false
}
