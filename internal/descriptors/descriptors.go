// Package descriptors divides the file descriptors of this process among its parts. A share
// bounds each kind of descriptor that strangers can make the process hold. What the process
// needs to work (files, the operators' server, new certificates) has a share of its own, so
// that clients cannot use it up.
package descriptors

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Needs say what holds descriptors in this process.
type Needs struct {
	Loops     int // event loops
	Listeners int // addresses for clients; each loop has a socket for each

	Guests  bool // guests register themselves
	DNS     int  // addresses of the name server, each by UDP and TCP; 0: there is none
	Lookups bool // of custom domains

	// PerConnection is how many a relayed connection holds: 2, or 3 where a socket pair
	// stands between it and a network stack in user space.
	PerConnection int

	// Connections is how many are wanted; 0 is as many as there is room for.
	Connections int
}

// Budget is the share of each part of the process. All fields but Own count the things
// that they are named for, which hold one or more descriptors each.
type Budget struct {
	Limit int // of the process
	Own   int // descriptors for what the process needs itself; see own

	Guests    int // connections of guests to their API
	Policies  int // guests that are asked for their policies at once
	DNS       int // connections to the name server
	Lookups   int // custom domains that are looked up at once
	Site      int // connections to the gateway's own site
	Lingering int // refused clients that may still read why
	Hedges    int // tries of dials beside other tries
	Pipes     int
	// Connections are clients' in all, those to the own site included.
	Connections   int
	PerConnection int

	// Room is how many connections there would be room for, with hardly a pipe.
	Room int
}

// Limit is how many descriptors the process may have. The Go runtime has raised the
// soft limit to the hard one.
func Limit() (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("descriptor limit: %w", err)
	}
	return int(min(limit.Cur, 1<<24)), nil
}

// AdminConnections is how many the operators' server may have at once.
const AdminConnections = 64

// own returns how many descriptors the process needs itself.
func own(n Needs) int {
	const (
		files     = 64 // logs, store, files that are read again, the tunnel, netlink, orders of certificates
		loop      = 3  // epoll, inbox, the reserve for a connection that finds none
		webhook   = 32 // registry/webhook
		verifying = 64 // ratls/pccs: 32 fetches of collateral
	)
	sum := files + AdminConnections + n.Loops*(loop+n.Listeners) + 2*n.DNS
	if n.Guests {
		sum += webhook + verifying
	}
	return sum
}

// fewest is how few connections are not worth a start.
const fewest = 16

// Divide divides limit. The shares of what can be had instead (a closed connection in
// place of one that lingers, a copy in place of a pipe, one dial after the other in place
// of both at once) are small parts; nearly all is for connections.
func Divide(limit int, n Needs) (Budget, error) {
	b := Budget{Limit: limit, Own: own(n), PerConnection: n.PerConnection}
	free := limit - b.Own
	part := func(of, least, most int) int { return min(max(free/of, least), most) }
	if n.Guests {
		b.Guests, b.Policies = part(8, 16, 4096), part(32, 4, 256)
	}
	if n.DNS > 0 {
		b.DNS = part(16, 8, 256)
	}
	if n.Lookups {
		b.Lookups = part(64, 4, 256)
	}
	b.Site, b.Lingering, b.Hedges = part(32, 8, 512), part(32, 8, 8192), part(32, 8, 8192)
	rest := limit
	for _, s := range b.Shares() {
		rest -= s.Descriptors
	}
	b.Room = (rest - n.Loops*perPipe) / n.PerConnection
	if b.Room < fewest {
		return Budget{}, fmt.Errorf("the descriptor limit of %d leaves no room for connections; raise it (ulimit -n, LimitNOFILE=)", limit)
	}
	// A quarter may be pipes, which only directions under load hold, unless more
	// connections are asked for.
	b.Pipes = max(rest/4/perPipe, n.Loops)
	b.Connections = min(n.Connections, b.Room)
	if n.Connections == 0 {
		b.Connections = (rest - b.Pipes*perPipe) / n.PerConnection
	}
	b.Pipes = min(b.Pipes, (rest-b.Connections*n.PerConnection)/perPipe)
	return b, nil
}

const (
	perPipe   = 2
	perLookup = 2 // two questions at once
	perSite   = 3 // the client's, and a socket pair
)

// Share is a part of the budget.
type Share struct {
	Name        string
	Descriptors int
}

// Shares are the parts; they are Limit at most together.
func (b Budget) Shares() []Share {
	return []Share{
		{"own", b.Own},
		{"guests", b.Guests},
		{"policies", b.Policies},
		{"dns", b.DNS},
		{"lookups", b.Lookups * perLookup},
		{"site", b.Site * (perSite - b.PerConnection)}, // more than other connections hold
		{"lingering", b.Lingering},
		{"hedges", b.Hedges * (b.PerConnection - 1)}, // the client's is there already
		{"pipes", b.Pipes * perPipe},
		{"connections", b.Connections * b.PerConnection},
	}
}
