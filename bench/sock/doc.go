// Package sock has what the load generator and its backend need of the kernel besides
// package nonblock: sockets, a thread on one CPU, and waits that end in time.
//
// A generator that spends more on an operation than the proxy does measures itself, so there
// are no goroutines per connection here and no deadlines. The package knows no TLS and no
// protocol.
//
// Read [Poller] in poller.go first; open.go makes sockets.
package sock
