// Package router decides where a connection goes: server name in, Decision out.
//
// It parses the name (name.go), finds the app or instance in the current
// vm.Snapshot and chooses up to three instances to try (choose.go). It is pure: it
// dials nothing, waits for nothing, takes no lock and allocates nothing, so that the
// event loops may call it for every connection.
//
// It does not decide which instances are healthy (package health does), and counts no
// connections: the Decision has the app's gauge for the caller.
package router
