package nameserver

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"

	"sallyport/internal/source"
)

// limiter keeps the server from being an amplifier.
//
// The sender of a datagram may be forged: then the answer goes to a victim. An attacker
// gains the answer's excess over the query. So the limiter limits that, in bytes, for the
// network that it goes to. A usual answer, one address or one challenge, exceeds its
// query by smallExcess at most, less than the headers of a packet. It is always sent in
// full, so that an attacker who forges a resolver's address cannot make the resolver use
// TCP for it. Beyond the limit a longer answer is cut to TC, which has no excess: a
// client that really asked comes by TCP, which proves its address and has places for
// invited networks (places.go). No answer is dropped: that would help an attacker who
// races to forge an answer to a resolver.
//
// Each network has one of a fixed number of buckets, by a secret hash: nothing grows with
// what is forged. Networks that share a bucket may need TCP sooner, and lose nothing else.
type limiter struct {
	seed    maphash.Seed
	perByte time.Duration // in which a bucket fills by one byte; 0 is no limit
	buckets [1 << 16]atomic.Int64
}

// smallExcess is what an address (16 or 28 bytes) or the value of a challenge (56) takes.
// A query of 40 bytes is 82 on Ethernet: the answer is less than twice that.
const smallExcess = 64

// limitBurst is the time in which an empty bucket becomes full.
const limitBurst = time.Second

func newLimiter(bytesPerSecond int) *limiter {
	l := &limiter{seed: maphash.MakeSeed()}
	if bytesPerSecond > 0 {
		l.perByte = max(1, time.Second/time.Duration(bytesPerSecond))
	}
	return l
}

// take takes excess bytes from the bucket of a sender. It reports whether they were
// there. now is the time since some fixed moment.
func (l *limiter) take(sender netip.Addr, excess int, now time.Duration) bool {
	if l.perByte == 0 || excess <= smallExcess {
		return true
	}
	key := sourceOf(sender).Addr().As16()
	bucket := &l.buckets[maphash.Bytes(l.seed, key[:])%uint64(len(l.buckets))]
	for {
		// A bucket is the time at which it will be full.
		was := bucket.Load()
		full := max(was, int64(now)) + int64(excess)*int64(l.perByte)
		if full-int64(now) > int64(limitBurst) {
			return false
		}
		if bucket.CompareAndSwap(was, full) {
			return true
		}
	}
}

// sourceOf returns the network of a, an IPv4 /24 or an IPv6 /56: about what one site has.
func sourceOf(a netip.Addr) netip.Prefix { return source.Network(a, 24, 56) }
