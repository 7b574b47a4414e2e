package hostile

import (
	"fmt"
	"strings"
	"time"

	"sallyport/bench/attack"
	"sallyport/bench/peers"
)

// An assault is one line of the comparison: an attack, and its target.
type assault struct {
	Attack
	attack attack.Options
	// ended sends it to the name where the proxy ends TLS, own to the gateway's own site
	// (of HAProxy, which has none, to that same name). The others are passed through.
	ended, own bool
	// dropped sends it to a port that the instance drops. HAProxy, whose clients choose no
	// ports, does not know the name.
	dropped bool
	deaf    bool          // nobody reads the proxy's log
	settle  time.Duration // from its beginning to what is measured
}

// assaults are all of them. Their numbers are for proxies with 4,096 descriptors, which
// have room for some 1,900 connections.
func assaults() []assault {
	const (
		second = time.Second
		MB     = 1e6
	)
	// Each of eight connections sends a megabyte at once, and they take turns.
	bursts := func(form attack.Form) attack.Options {
		return attack.Options{Form: form, Connections: 8, Rate: 1, BulkRate: MB, Burst: MB}
	}
	return []assault{
		named("keyupdate", "TLS KeyUpdates that ask for an answer", assault{attack: bursts(attack.KeyUpdate), ended: true, settle: 2 * second}),
		named("tinyrecords", "TLS records of one byte", assault{attack: bursts(attack.TinyRecords), ended: true, settle: 2 * second}),
		named("slowhello", "hellos byte by byte",
			assault{attack: attack.Options{Form: attack.SlowHello, Connections: 1000, Rate: 500, BulkRate: 5000}, settle: 3 * second}),
		named("silent", "clients that say nothing, from one address",
			assault{attack: attack.Options{Form: attack.Silent, Connections: 2500, Rate: 500}, settle: 6 * second}),
		named("hold", "clients that say nothing after their hello, from one address",
			assault{attack: attack.Options{Form: attack.Hold, Connections: 2500, Rate: 500}, settle: 6 * second}),
		named("ownsite", "idle TLS connections to the gateway's own site",
			assault{attack: attack.Options{Form: attack.Hold, TLS: true, Connections: 2500, Rate: 400}, own: true, settle: 6 * second}),
		named("dropped", "clients that choose a port which the instance drops",
			assault{attack: attack.Options{Form: attack.Hold, Connections: 500, Rate: 50}, dropped: true, settle: 8 * second}),
		named("refused", "clients that are refused",
			assault{attack: attack.Options{Form: attack.Refused, Connections: 500, Rate: 1000}, settle: 2 * second}),
		named("deaf", "the same, while nobody reads the log",
			assault{attack: attack.Options{Form: attack.Refused, Connections: 500, Rate: 1000}, deaf: true, settle: 4 * second}),
		named("linger", "clients that are refused and stay",
			assault{attack: attack.Options{Form: attack.Linger, Connections: 2500, Rate: 1000}, settle: 3 * second}),
		// Linux gives a client 28,232 ports to one address and port, each for a minute.
		named("churn", "short connections to one port of one instance",
			assault{attack: attack.Options{Form: attack.Churn, Connections: 500, Rate: 2000}, settle: 16 * second}),
	}
}

func named(name, what string, a assault) assault {
	o := a.attack
	a.Name, a.Title, a.Flags = name, what, strings.Join(flags(o), " ")
	a.Rate = fmt.Sprintf("%.0f/s, at most %d", o.Rate, o.Connections)
	switch {
	case o.Burst > 0:
		a.Rate = fmt.Sprintf("%.0f kB/s, in turn from %d, %d kB at once", o.BulkRate/1e3, o.Connections, o.Burst/1000)
	case o.BulkRate > 0:
		a.Rate = fmt.Sprintf("%.0f kB/s over %d", o.BulkRate/1e3, o.Connections)
	}
	return a
}

// form is the proxy as this assault meets it.
func (a *assault) form(name string) peers.Form {
	return peers.Form{Name: name, Program: name, Exposed: true, Deaf: a.deaf}
}

// Names are those of the attacks.
func Names() []string {
	var names []string
	for _, a := range assaults() {
		names = append(names, a.Name)
	}
	return names
}
