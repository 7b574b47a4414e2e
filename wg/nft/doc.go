// Package nft writes and reads whole tables of the kernel's packet filter
// (nf_tables, family inet), in one transaction each.
//
// The expressions of rules are those of google/nftables. Its conversation with the
// kernel is not used: it can neither own a table nor replace an owned one, and it
// waits for ever where the kernel answers a transaction with a single error.
//
// Filter is in filter.go; message.go has the encoding.
package nft
