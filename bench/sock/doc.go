// Package sock is what the load generator and its backend need of the kernel: an
// epoll loop on a thread of its own, and non-blocking sockets by raw system calls.
//
// A generator that spends more on an operation than the proxy does measures
// itself, so there are no goroutines per connection here and no deadlines. It
// knows no TLS and no protocol.
//
// How to read it: [Poller] in poller.go, the calls in calls.go, what makes
// sockets in open.go.
package sock
