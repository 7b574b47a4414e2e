// Package registry is the control plane's memory: which CVM is which instance of
// which app, behind which WireGuard key, on which address, with which port policy.
//
// A registration goes this way, in Register (register.go):
//
//	admit      what is attested is checked against what is known; the webhook (admit.go, webhook.go)
//	prove      new evidence is judged (evidence.go)
//	allocate   key and address are claimed in memory (allocate.go, table.go, pool.go)
//	store      the claim is committed, on condition that nobody else holds it (transaction.go)
//	peer       the tunnel takes traffic for the address (apply.go)
//	publish    the data plane may send some (apply.go)
//
// Stored first, because a crash in between must not leave a peer that nobody
// remembers and whose address goes to another VM. The guest hears "ok" last. Removing
// (recycle.go) goes the other way round, for the same reason. Whatever stops
// half-way is finished by the next registration, or by the next start (load.go).
//
// One instance's changes are serialised (lanes.go), those of different ones run in
// parallel; a registration that changes nothing takes one short lock. No lock is
// held over disk, kernel or network.
//
// Evidence is kept, and judged again while its instance is registered (reattest.go). Who
// falls out of policy is refused: it keeps its address and key, and gets no traffic until
// its evidence, or new evidence, is accepted. That is stored: a restart lets nobody in. What
// can be told without collateral is told before anybody is served (recheck.go), and who
// cannot be judged is served for a limited time (undecided.go).
//
// Besides evidence, a chain of certificates and the webhook's word let an instance in; both
// are taken back as well (authority.go, standing.go).
//
// What is stored, and under which keys, is in record.go; store.go is the contract of
// a Store, which several gateways may share, bolt.go the engine for one. What other
// gateways store arrives through follow.go. The compose file of a
// guest whose compose hash is attested is fetched from it and checked against that (fetch.go,
// info.go); until then no port is open, and what the guest reports takes ports away only.
//
// It does not authenticate guests (package rpc hands over proven facts) and does not know
// what evidence means (Options.Appraise does), speaks no wire protocol to guests, sets no
// tunnel up, and judges nobody's health.
package registry
