// Package sock is what the load generator and its backend need of the kernel beside
// package nonblock: sockets, a thread of one CPU, and waits that end in time.
//
// A generator that spends more on an operation than the proxy does measures
// itself, so there are no goroutines per connection here and no deadlines. It
// knows no TLS and no protocol.
//
// How to read it: [Poller] in poller.go, what makes sockets in open.go.
package sock
