// Package pccs gets the collateral that quotes of Intel TDX are judged by, and
// keeps it: what Intel publishes about a kind of platform, from Intel's
// Provisioning Certification Service (PCS) or from caches of it (PCCS).
//
// A [Client] fetches it, remembers it in memory and on disk, fetches it again in
// time, and goes on with what it has while no server answers. A [Fixed] has it from
// a file, for verification without a network.
//
// A Client keeps and returns only documents whose signatures package qvl has
// verified, that are in time, and that are for the platform asked for. So a server
// can withhold documents, but can neither forge them nor bring back older ones while
// newer are in time. It judges no quote, and it asks no address but those it was
// given and Intel's.
//
// A document's way: fetch.go asks the servers, answer.go takes the answers apart,
// check.go has them verified, hold.go and disk.go keep them, run.go fetches them
// again. client.go says who waits for whom.
package pccs
