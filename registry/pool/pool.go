// Package pool hands out IPv4 addresses of a prefix, and lets those that come back rest before it
// hands them out again. It is pure: its owner locks, and gives the time.
package pool

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"time"
)

// Pool is the addresses of one prefix, handed out lowest first. It is a bit per address (8 kB
// for a /16) and a queue of those at rest, so that each call takes a few nanoseconds, however full
// the pool is. Its owner must lock it.
//
// It never hands out the tunnel network's own address, its first and its last one, the gateway's,
// reserved networks, and the addresses of static instances.
type Pool struct {
	network  netip.Prefix // the tunnel's; its address is the gateway's own
	reserved []netip.Prefix
	static   map[netip.Addr]bool

	base    uint32          // the first address
	size    uint32          // of the prefix
	taken   []uint64        // a bit per address: held, at rest, or never to be handed out
	hint    uint32          // no word before it has a free bit
	resting []rest          // by until
	asleep  map[uint32]bool // those that rest
	blocked uint32          // never to be handed out
	used    uint32          // held
}

// rest is an address that may be handed out again after until.
type rest struct {
	addr  netip.Addr
	until time.Time
}

// maxPoolBits bounds the pool to a /8.
const maxPoolBits = 24

// Status counts addresses.
type Status struct {
	Size    int // that can be handed out
	Used    int
	Resting int
}

// New returns the pool of prefix, which must lie in network. static are the addresses of static
// instances.
func New(network, prefix netip.Prefix, reserved []netip.Prefix, static []netip.Addr) (*Pool, error) {
	prefix = prefix.Masked()
	switch {
	case !network.Addr().Is4() || !prefix.Addr().Is4():
		return nil, fmt.Errorf("tunnel network %s, pool %s: both must be IPv4", network, prefix)
	case prefix.Bits() < network.Bits() || !network.Contains(prefix.Addr()):
		return nil, fmt.Errorf("pool %s is not inside the tunnel network %s", prefix, network.Masked())
	case 32-prefix.Bits() > maxPoolBits:
		return nil, fmt.Errorf("pool %s is larger than a /%d: use a smaller prefix", prefix, 32-maxPoolBits)
	}
	p := &Pool{
		network: network, reserved: reserved, static: make(map[netip.Addr]bool),
		base: number(prefix.Addr()), size: 1 << (32 - prefix.Bits()), asleep: make(map[uint32]bool),
	}
	for _, a := range static {
		p.static[a] = true
	}
	p.taken = make([]uint64, (p.size+63)/64)
	for i := range p.size {
		if !p.Usable(address(p.base + i)) {
			p.set(i)
			p.blocked++
		}
	}
	for i := p.size; i < uint32(len(p.taken))*64; i++ { // a prefix may be smaller than a word
		p.set(i)
	}
	return p, nil
}

// Usable reports whether an instance may have the address: one of this pool, or of another node's
// pool in the same network.
func (p *Pool) Usable(a netip.Addr) bool {
	if !a.Is4() || !p.network.Contains(a) || a == p.network.Addr() || p.static[a] {
		return false
	}
	first := number(p.network.Masked().Addr())
	last := first | (1<<(32-p.network.Bits()) - 1)
	if n := number(a); n == first || n == first+1 || n == last {
		return false
	}
	for _, r := range p.reserved {
		if r.Contains(a) {
			return false
		}
	}
	return true
}

// Take hands out the lowest address that is free by now. It reports false if there is none.
func (p *Pool) Take(now time.Time) (netip.Addr, bool) {
	p.wake(now)
	for ; p.hint < uint32(len(p.taken)); p.hint++ {
		if word := p.taken[p.hint]; word != ^uint64(0) {
			i := p.hint*64 + uint32(bits.TrailingZeros64(^word))
			p.set(i)
			p.used++
			return address(p.base + i), true
		}
	}
	return netip.Addr{}, false
}

// Left returns how many addresses Take could hand out now.
func (p *Pool) Left(now time.Time) int {
	p.wake(now)
	return int(p.size-p.blocked-p.used) - len(p.asleep)
}

// Status returns the counts as of now.
func (p *Pool) Status(now time.Time) Status {
	p.wake(now)
	return Status{Size: int(p.size - p.blocked), Used: int(p.used), Resting: len(p.resting)}
}

// Contains reports whether a is an address of the prefix.
func (p *Pool) Contains(a netip.Addr) bool {
	_, ok := p.index(a)
	return ok
}

// Claim takes a itself, also from its rest. An address of another pool is ignored.
func (p *Pool) Claim(a netip.Addr) {
	i, ok := p.index(a)
	if !ok || !p.Usable(a) {
		return
	}
	if p.asleep[i] {
		delete(p.asleep, i)
		p.resting = slices.DeleteFunc(p.resting, func(r rest) bool { return r.addr == a })
	} else if p.has(i) {
		return
	}
	p.set(i)
	p.used++
}

// Free takes a back at once: it was not used yet.
func (p *Pool) Free(a netip.Addr) {
	if i, ok := p.index(a); ok && p.Usable(a) && p.has(i) && !p.asleep[i] {
		p.clear(i)
		p.used--
	}
}

// Rest takes a back, but not before until: elsewhere it is still known with its last holder's key.
// It may be held or free before.
func (p *Pool) Rest(a netip.Addr, until time.Time) {
	i, ok := p.index(a)
	if !ok || !p.Usable(a) || p.asleep[i] {
		return
	}
	if p.has(i) {
		p.used--
	}
	p.set(i)
	p.asleep[i] = true
	n := len(p.resting) // nearly always the end
	for n > 0 && p.resting[n-1].until.After(until) {
		n--
	}
	p.resting = slices.Insert(p.resting, n, rest{a, until})
}

// wake frees the addresses that have rested.
func (p *Pool) wake(now time.Time) {
	n := 0
	for ; n < len(p.resting) && !p.resting[n].until.After(now); n++ {
		i, _ := p.index(p.resting[n].addr)
		delete(p.asleep, i)
		p.clear(i)
	}
	p.resting = slices.Delete(p.resting, 0, n)
}

func (p *Pool) index(a netip.Addr) (uint32, bool) {
	if !a.Is4() {
		return 0, false
	}
	i := number(a) - p.base // wraps around below base
	return i, i < p.size
}

func (p *Pool) has(i uint32) bool { return p.taken[i/64]&(1<<(i%64)) != 0 }
func (p *Pool) set(i uint32)      { p.taken[i/64] |= 1 << (i % 64) }

func (p *Pool) clear(i uint32) {
	p.taken[i/64] &^= 1 << (i % 64)
	p.hint = min(p.hint, i/64)
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func address(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}
