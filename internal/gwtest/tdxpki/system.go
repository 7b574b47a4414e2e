package tdxpki

import "fmt"

// System is the registers that say which system a guest runs.
type System struct{ MRTD, RTMR0, RTMR1, RTMR2 [48]byte }

// System returns the system of a guest.
func (p *PKI) System(g Guest) (s System) {
	change := g.ChangeQuote
	g.ChangeQuote = func(q *Quote) {
		call(change, q)
		s = System{q.TD.MRTD, q.TD.RTMR[0], q.TD.RTMR[1], q.TD.RTMR[2]}
	}
	p.Guest(g)
	return s
}

// Flag is the system as gateway verify --measurement takes it.
func (s System) Flag() string {
	return fmt.Sprintf("mrtd=%x,rtmr0=%x,rtmr1=%x,rtmr2=%x", s.MRTD, s.RTMR0, s.RTMR1, s.RTMR2)
}

// TOML is the system as an allow file lists it.
func (s System) TOML() string {
	return fmt.Sprintf("[[measurement]]\nmrtd = \"%x\"\nrtmr0 = \"%x\"\nrtmr1 = \"%x\"\nrtmr2 = \"%x\"\n", s.MRTD, s.RTMR0, s.RTMR1, s.RTMR2)
}

// InAnotherSystem returns a guest of genuine hardware that measures the ids of g, in a
// system of its own.
func InAnotherSystem(g Guest) Guest {
	g.ChangeQuote = func(q *Quote) {
		q.TD.MRTD[0] ^= 1
		for i := range 3 {
			q.TD.RTMR[i][0] ^= 1
		}
	}
	return g
}
