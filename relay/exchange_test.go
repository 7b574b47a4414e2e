package relay

import (
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkExchange is a request of 64 bytes and its reply, through a loop with 200
// connections that are up, all busy. Half of it is the cost of the ends.
func BenchmarkExchange(b *testing.B) {
	l := testLoop(b)
	const n = 200
	var clients, backends [n]int
	for i := range n {
		_, client, backend := watchedPassing(b, l)
		clients[i], backends[i] = int(client), int(backend)
	}
	look(l)
	message := make([]byte, 64)
	pass := func(from, to *[n]int) {
		for _, fd := range from {
			if _, err := unix.Write(fd, message); err != nil {
				b.Fatal(err)
			}
		}
		look(l)
		for _, fd := range to {
			if _, err := unix.Read(fd, message); err != nil {
				b.Fatal(err)
			}
		}
	}
	rounds := 0
	for b.Loop() {
		pass(&clients, &backends)
		pass(&backends, &clients)
		rounds++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rounds*n), "ns/exchange")
}
