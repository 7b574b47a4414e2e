package hello

import "slices"

// extensionSet finds an extension that is sent twice (RFC 8446, 4.2). 64 KiB
// hold 16,384 extensions, so a scan of those before would be quadratic, and a
// set of all 65,536 types is 8 KiB to clear for a hello that has fifteen. Hence
// three tiers; a real hello stays in the first two and allocates nothing.
type extensionSet struct {
	low  uint64        // types below 64: nearly all that are registered
	few  [16]uint16    // others: GREASE, ECH, renegotiation_info, …
	n    int           // used entries of few
	many *[1024]uint64 // from the 17th of those on
}

// add reports whether kind was not in the set, and puts it in.
func (s *extensionSet) add(kind uint16) bool {
	if kind < 64 {
		bit := uint64(1) << kind
		fresh := s.low&bit == 0
		s.low |= bit
		return fresh
	}
	if slices.Contains(s.few[:s.n], kind) {
		return false
	}
	if s.n < len(s.few) {
		s.few[s.n] = kind
		s.n++
		return true
	}
	if s.many == nil {
		s.many = new([1024]uint64)
	}
	word, bit := &s.many[kind/64], uint64(1)<<(kind%64)
	fresh := *word&bit == 0
	*word |= bit
	return fresh
}
