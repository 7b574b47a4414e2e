// Package registry is the memory of the control plane: which CVM is which instance of which app,
// with which WireGuard key, address and port policy.
//
// A registration goes through these steps, in Register (register.go):
//
//	admit      the attested facts are checked, and the webhook is asked (admit.go, authority.go)
//	prove      new evidence is appraised (prove.go)
//	allocate   key and address are claimed in memory (allocate.go, shares.go, table.go)
//	store      the claim is committed, on condition that no other instance has it (commit.go)
//	peer       the tunnel accepts traffic for the address (apply.go)
//	publish    the data plane may send some (apply.go)
//
// The claim is stored first, so that a crash in between cannot leave a peer that no record has,
// and whose address goes to another instance. The guest gets its answer last. Removing an instance
// (recycle.go) undoes the steps in reverse for the same reason. What a crash or an error leaves
// unfinished, the next registration or the next start (load.go) finishes.
//
// entry.go has the state of an instance, all its transitions, and a diagram of them. table.go has
// what must be unique among the instances. The changes of one instance wait for each other
// (lanes.go); those of different instances run in parallel. A registration that changes nothing
// takes one short lock. No lock is held over disk, kernel or network.
//
// A registered instance can lose its traffic again. It keeps its address and key, is stored as
// refused, and comes back when the cause is gone:
//
//	reattest.go    Its evidence is no longer accepted; schedule.go has the times,
//	recheck.go     the rules that need no collateral, and what is checked before a start serves,
//	undecided.go   and how long an instance is served without a verdict.
//	authority.go   The webhook denies it, or the chain of its certificate has ended.
//
// Several nodes may share the store: follow.go applies what the others register. ports.go has the
// port policies: an operator's, and that of the compose file. status.go and metrics.go report.
//
// Below registry are packages that do not know the state of an instance:
//
//	store     values under keys in revisions: the contract, and an engine for one gateway
//	record    what is stored of an instance, and under which keys
//	pool      addresses, and their rest
//	policy    fetches port policies from guests' agents
//	webhook   asks the operator's service; Options.Authorize
//
// Package registry does not authenticate guests (package rpc passes proven facts), does not
// understand evidence (Options.Appraise does), has no wire protocol for guests, does not configure
// the tunnel, and does not judge health.
package registry
