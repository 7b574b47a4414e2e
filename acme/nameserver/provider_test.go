package nameserver

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"sallyport/acme/dns01"
	"sallyport/internal/gwtest/dnstest"

	"github.com/libdns/libdns"
	"github.com/mholt/acmez/v3/acme"
)

// The parts together: the customer's zone is elsewhere, and points here.
func TestAliasOfAChallengeIsSolvedHere(t *testing.T) {
	const name = "www.acme.gw.example"
	s, at := start(t, Options{Zones: []Zone{base()}})
	elsewhere := dnstest.New(t, "127.0.0.1:0",
		"_acme-challenge.www.customer.example. 60 IN CNAME "+name+".",
		"customer.example. 60 IN SOA ns. root. 1 60 60 60 60",
		"gw.example. 60 IN SOA ns1.gw.example. root. 1 60 60 60 60",
	)
	solver, err := dns01.New(dns01.Options{Provider: s, Resolvers: []netip.AddrPort{elsewhere.Addr}, Nameservers: []netip.AddrPort{at}})
	if err != nil {
		t.Fatal(err)
	}
	var challenges [2]acme.Challenge // of the domain and its wildcard
	for i, key := range []string{"token.a", "token.b"} {
		c := acme.Challenge{Type: acme.ChallengeTypeDNS01, KeyAuthorization: key, Identifier: acme.Identifier{Type: "dns", Value: "www.customer.example"}}
		if err := solver.Present(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if err := solver.Wait(t.Context(), c); err != nil {
			t.Error(err)
		}
		challenges[i] = c
	}
	if got, want := values(t, s, name), challenges[0].DNS01KeyAuthorization()+" "+challenges[1].DNS01KeyAuthorization(); got != want {
		t.Errorf("%s has %q, want %q", name, got, want)
	}
	for _, c := range challenges {
		if err := solver.CleanUp(t.Context(), c); err != nil {
			t.Error(err)
		}
	}
	if got := values(t, s, name); got != "" {
		t.Errorf("%s still has %q", name, got)
	}
}

func TestRecordsThatAreNotServed(t *testing.T) {
	s := newTestServer(t, Options{Zones: []Zone{base()}})
	good := libdns.TXT{Name: "a", Text: "x"}
	for _, bad := range []libdns.Record{
		libdns.CAA{Name: "a", Tag: "issue", Value: ";"},
		libdns.RR{Name: "a", Type: "TXT", Data: "x"},
		libdns.TXT{Name: "a b", Text: "x"},
	} {
		if got, err := s.AppendRecords(t.Context(), "gw.example.", []libdns.Record{good, bad}); err == nil || len(got) != 1 {
			t.Errorf("%+v: %v, %v", bad, got, err)
		}
		if got, err := s.DeleteRecords(t.Context(), "gw.example.", []libdns.Record{good, bad}); err == nil || len(got) != 1 {
			t.Errorf("%+v: %v, %v", bad, got, err)
		}
	}
	if _, err := s.AppendRecords(t.Context(), "elsewhere.example.", []libdns.Record{good}); !errors.Is(err, ErrNotServed) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.AppendRecords(ctx, "gw.example.", []libdns.Record{good}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
