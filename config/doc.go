// Package config reads gateway.toml into a Config whose every value is parsed, within
// its bounds and consistent with the others. Otherwise it reports every problem of the
// file at once, each with its line and column.
//
// It opens no other file, resolves no name, and knows nothing about the host: whether a
// certificate is valid or an address can be bound is for the packages that use them. It
// never guesses: an unknown key is an error.
//
// The keys, their meaning and their defaults are in config.go, acme.go, acmedns.go and
// attestation.go. A file goes through load.go (limits, order of the steps), tree.go
// (TOML to a tree of keys with positions), table.go (typed reading, unknown keys) and
// then its sections:
//
//	domain, proxy, health, store, log, admin   sections.go
//	acme                                       acme.go, acmedns.go
//	wireguard, instance                        wireguard.go
//	rpc, registry                              rpc.go
//	custom_domain                              customdomain.go
//	attestation                                attestation.go; allow.go has its list
//
// values.go has the pure parsers that several sections share.
package config
