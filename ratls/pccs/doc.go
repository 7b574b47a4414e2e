// Package pccs fetches and keeps the collateral that quotes of Intel TDX are judged by:
// what Intel publishes about a kind of platform, from Intel's Provisioning Certification
// Service (PCS) or from its caches (PCCS).
//
// A [Client] fetches collateral, keeps it in memory and on disk, fetches it again in time,
// and continues with what it has while no server answers. A [Fixed] reads it from a file,
// for verification without a network.
//
// A Client keeps and returns only documents whose signatures package qvl has verified, that
// are valid now, and that are for the requested platform. A server can withhold documents,
// but cannot forge them or bring back older ones while newer ones are valid. The package
// judges no quotes, and contacts only the given addresses and Intel's.
//
// Read client.go first for who waits for whom. fetch.go asks the servers, answer.go parses
// the answers, check.go has them verified, hold.go and disk.go keep them, run.go fetches
// them again.
package pccs
