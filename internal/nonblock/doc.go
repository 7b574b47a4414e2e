// Package nonblock has the system calls of event loops: those on non-blocking
// descriptors, and epoll.
//
// The calls are raw: the Go scheduler does not learn that the thread is in the kernel.
// That is right only because no descriptor is in blocking mode, so that none of the calls
// waits; the one exception, [Poller.Look], waits for as long as its caller says.
//
// How to read it: calls.go moves bytes and makes connections, options.go asks sockets and
// sets them, address.go has the kernel's form of addresses. [Poller] in poller.go says
// which descriptors are ready and whose they are, [Bell] in bell.go wakes it. How a loop
// waits is left to the loop.
package nonblock
