package nameserver

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// limiter keeps the server from being an amplifier.
//
// The sender of a datagram may be forged: then the answer goes to a victim. What an
// attacker gains is the answer's excess over the query, so that is what is limited,
// in bytes, by the network that it goes to. A usual answer, one address or one challenge,
// exceeds its query by smallExcess at most, less than the headers that each packet has
// besides: that is always sent in full, so that nobody can send a resolver to TCP for it
// by forging its address. Beyond the limit a longer answer is cut to TC, which has no
// excess: whoever really asked comes by TCP, which proves his address and has places for
// who was told to come (places.go). None is dropped: that would help those who race to
// forge an answer to a resolver.
//
// Each network has one of a fixed number of buckets, by a secret hash: nothing
// grows, whatever is forged. That some networks share a bucket only costs them TCP.
type limiter struct {
	seed    maphash.Seed
	perByte time.Duration // in which a bucket fills by one byte; 0 is no limit
	buckets [1 << 16]atomic.Int64
}

// smallExcess is what an address (16 or 28 bytes) or the value of a challenge (56) takes.
// A query of 40 bytes is 82 on Ethernet: the answer is less than twice that.
const smallExcess = 64

// limitBurst is the time in which an empty bucket is full again.
const limitBurst = time.Second

func newLimiter(bytesPerSecond int) *limiter {
	l := &limiter{seed: maphash.MakeSeed()}
	if bytesPerSecond > 0 {
		l.perByte = max(1, time.Second/time.Duration(bytesPerSecond))
	}
	return l
}

// take takes excess bytes from the bucket of a sender, if they are there. now is the
// time since any moment that does not change.
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

// sourceOf is an IPv4 /24 or an IPv6 /56: about what one site has.
func sourceOf(a netip.Addr) netip.Prefix {
	bits := 24
	if a = a.Unmap(); a.Is6() {
		bits = 56
	}
	p, _ := a.WithZone("").Prefix(bits) // it fails only for bits out of range
	return p
}
