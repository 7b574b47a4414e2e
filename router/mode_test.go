package router

import (
	"slices"
	"testing"
)

func TestALPNFollowsTheMode(t *testing.T) {
	for _, c := range []struct {
		mode  Mode
		offer []string
		want  string
		r     Refusal
	}{
		{Terminate, nil, "", None},
		{Terminate, []string{"h2", "http/1.1"}, "http/1.1", None},
		{Terminate, []string{"postgresql"}, "postgresql", None},
		{Terminate, []string{"postgresql", "http/1.1"}, "http/1.1", None},
		{Terminate, []string{"h2"}, "", None},
		{TerminateH2, nil, "", None},
		{TerminateH2, []string{"http/1.1", "h2"}, "h2", None},
		{TerminateH2, []string{"http/1.1"}, "", NoProtocol},
		{Passthrough, []string{"http/1.1"}, "", None},
		{Passthrough, nil, "", None},
		{Undecided, nil, "", NoProtocol},
		{Undecided, []string{"http/1.1"}, "", NoProtocol},
	} {
		offers := func(p string) bool { return slices.Contains(c.offer, p) }
		if got, r := c.mode.ALPN(len(c.offer) == 0, offers); got != c.want || r != c.r {
			t.Errorf("%v, client offers %q: %q, %v, want %q, %v", c.mode, c.offer, got, r, c.want, c.r)
		}
	}
}

func TestALPNAllocatesNothing(t *testing.T) {
	offer := offered{list: []byte("h2")}
	if n := testing.AllocsPerRun(100, func() {
		if p, _ := TerminateH2.ALPN(false, offer.Offers); p != "h2" {
			t.Fatal(p)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// offered is of the shape of a parsed hello's list.
type offered struct{ list []byte }

func (o offered) Offers(p string) bool { return string(o.list) == p }
