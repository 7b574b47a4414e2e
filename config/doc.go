// Package config reads gateway.toml into a Config whose every value is parsed,
// bounded and consistent with the others, or tells everything that is wrong
// with the file at once, each problem with its line and column.
//
// It opens no other file, resolves no name, and knows nothing of the machine it
// runs on: whether a certificate is good or an address can be bound is for the
// packages that use it to find out. It never guesses: an unknown key is an error.
//
// Read config.go for the keys, their meaning and their defaults. A file goes
// through load.go (limits, order of the steps), tree.go (TOML → tree of keys
// with positions), table.go (typed reading, unknown keys) and then the sections:
// sections.go, wireguard.go, rpc.go and customdomain.go. values.go holds the pure
// parsers that several share.
package config
