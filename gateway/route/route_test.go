package route

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"sallyport/config"
	"sallyport/customdomain"
	"sallyport/internal/gwtest"
	"sallyport/internal/hello"
	"sallyport/internal/selfdial"
	"sallyport/internal/vm"
	"sallyport/relay"
)

// certificates has one for the names below each domain, and one for each apex.
type certificates struct{ names, apexes map[string]bool }

// shown ends all connections.
var shown = &tls.Config{}

func (c certificates) TLSConfig(domain, _ string) *tls.Config {
	if !c.names[domain] {
		return nil
	}
	return shown
}

func (c certificates) ApexTLSConfig(domain, _ string) *tls.Config {
	if !c.apexes[domain] {
		return nil
	}
	return shown
}

// owners are the custom domains that have a record; those in memory are remembered.
type owners struct {
	inMemory, inDNS map[string]customdomain.Target
}

func (o owners) Cached(name []byte) (customdomain.Target, bool) {
	t, ok := o.inMemory[string(name)]
	return t, ok
}

func (o owners) Lookup(_ context.Context, name string, _ netip.Addr) (customdomain.Target, error) {
	if t, ok := o.inDNS[name]; ok {
		return t, nil
	}
	return customdomain.Target{}, fmt.Errorf("%s: %w", name, customdomain.ErrNotFound)
}

func target(t *testing.T, id string, port uint16) customdomain.Target {
	t.Helper()
	label, ok := vm.ParseLabel(id)
	if !ok {
		t.Fatalf("%q is no label", id)
	}
	return customdomain.Target{ID: label, Port: port}
}

// helloOf is what a client says that wants name and offers protocols.
func helloOf(t testing.TB, name string, protocols ...string) *hello.Hello {
	t.Helper()
	var p hello.Parser
	if done, err := p.Parse(gwtest.Hello{ServerName: name, ALPN: protocols}.Record()); err != nil || !done {
		t.Fatal(done, err)
	}
	return p.Hello()
}

// newDecider serves gw.test with its apex, and plain.test without names below it; one app
// with an instance at 10.0.0.2, and one on the gateway's own machine.
func newDecider(t testing.TB, custom CustomDomains) *Decider {
	t.Helper()
	snapshot := snapshotOf(instance{"aaaa", "aa01", "10.0.0.2"}, instance{"bbbb", "bb01", "127.0.0.1"})
	own := selfdial.New(netip.Prefix{})
	own.Add(netip.MustParseAddrPort("127.0.0.1:9901"))
	return New(Options{
		Domains:      []config.Domain{{Name: "gw.test", Wildcard: true, IncludeApex: true}, {Name: "plain.test", IncludeApex: true}},
		Snapshot:     func() *vm.Snapshot { return snapshot },
		Certificates: certificates{map[string]bool{"gw.test": true}, map[string]bool{"gw.test": true, "plain.test": true}},
		Listeners:    own, Site: NewSite(4), Custom: custom,
		Challenge: func(name string) (*tls.Certificate, bool) { return &tls.Certificate{}, name == "plain.test" },
	})
}

// decision is what is looked at of a relay.Decision.
type decision struct {
	mode    hello.Mode
	app     string
	backend string // the first one's address, or what it leads to
	refuse  relay.Reason
}

func TestEachNameIsDecidedByItsStep(t *testing.T) {
	custom := owners{
		inMemory: map[string]customdomain.Target{"www.customer.org": target(t, "aaaa", 443)},
		inDNS:    map[string]customdomain.Target{"new.customer.org": target(t, "aa01", 8443), "lost.customer.org": target(t, "nobody", 443)},
	}
	r := newDecider(t, custom)
	for _, c := range []struct {
		name   string
		offers []string
		want   decision
		detail string
	}{
		// names below a served domain
		{"aaaa.gw.test", nil, decision{hello.Terminate, "aaaa", "10.0.0.2:80", 0}, ""},
		{"aaaa-8080.gw.test", []string{"http/1.1"}, decision{hello.Terminate, "aaaa", "10.0.0.2:8080", 0}, ""},
		{"aa01-50051g.gw.test", []string{"h2"}, decision{hello.TerminateH2, "aaaa", "10.0.0.2:50051", 0}, ""},
		{"aaaa-443s.gw.test", []string{hello.ACMETLS1}, decision{hello.Passthrough, "aaaa", "10.0.0.2:443", 0}, ""},
		{"aaaa-80.gw.test", []string{"h2"}, decision{hello.Terminate, "aaaa", "10.0.0.2:80", relay.NoProtocol}, "aaaa-g is the name for it"},
		{"aaaa-80.gw.test", []string{hello.ACMETLS1}, decision{hello.Terminate, "aaaa", "10.0.0.2:80", relay.NoProtocol}, noValidation},
		{"aaaa.plain.test", nil, decision{hello.Terminate, "aaaa", "10.0.0.2:80", relay.UnknownDomain}, "wildcard = false"},
		{"nobody.gw.test", nil, decision{hello.Terminate, "", "", relay.UnknownApp}, ""},
		{"a.b.gw.test", nil, decision{hello.Undecided, "", "", relay.UnknownDomain}, ""},
		// the gateway's own
		{"gateway.gw.test", []string{"http/1.1"}, decision{hello.Terminate, vm.OwnName, vm.OwnName, 0}, ""},
		{"gw.test", nil, decision{hello.Terminate, vm.OwnName, vm.OwnName, 0}, ""},
		{"gw.test", []string{"h2"}, decision{hello.Terminate, vm.OwnName, vm.OwnName, relay.NoProtocol}, "speaks http/1.1"},
		{"plain.test", []string{hello.ACMETLS1}, decision{hello.Terminate, vm.OwnName, "validation", 0}, ""},
		{"gw.test", []string{hello.ACMETLS1}, decision{hello.Terminate, "", "", relay.NoProtocol}, noValidation},
		// names of others
		{"www.customer.org", nil, decision{hello.Passthrough, "aaaa", "10.0.0.2:443", 0}, ""},
		{"new.customer.org", nil, decision{hello.Passthrough, "aaaa", "10.0.0.2:8443", 0}, ""},
		{"lost.customer.org", nil, decision{hello.Passthrough, "", "", relay.UnknownApp}, "the TXT record says nobody:443"},
		{"other.customer.org", nil, decision{hello.Undecided, "", "", relay.UnknownDomain}, "no custom domain record"},
		// an instance where this process listens itself
		{"bbbb-9901.gw.test", nil, decision{hello.Terminate, "bbbb", "", relay.OwnListener}, ""},
		{"bbbb-9902.gw.test", nil, decision{hello.Terminate, "bbbb", "127.0.0.1:9902", 0}, ""},
	} {
		var d relay.Decision
		r.Decide(helloOf(t, c.name, c.offers...), netip.MustParseAddrPort("192.0.2.1:1"), &d)
		if later := d.Later; later != nil {
			d = relay.Decision{}
			later(t.Context(), &d)
		}
		got := decision{mode: d.Mode, app: d.App, refuse: d.Refuse}
		if d.N > 0 {
			if got.backend = d.Backends[0].Name; d.Backends[0].Addr.IsValid() {
				got.backend = d.Backends[0].Addr.String()
			}
		}
		if got != c.want || !strings.Contains(d.Detail, c.detail) {
			t.Errorf("%s %q: %+v %q, want %+v %q", c.name, c.offers, got, d.Detail, c.want, c.detail)
		}
		if ends := d.Refuse == 0 && d.Mode != hello.Passthrough; ends && d.TLS == nil {
			t.Errorf("%s: it ends here, without a certificate", c.name)
		}
	}
}

func TestFailedLookupHasItsReason(t *testing.T) {
	for want, err := range map[relay.Reason]error{
		relay.LookupLimit: customdomain.ErrLimited, relay.LookupFailed: customdomain.ErrTemporary,
		relay.Internal: customdomain.ErrInternal, relay.UnknownDomain: errors.New("another"),
	} {
		r := newDecider(t, failing{err: err})
		var d relay.Decision
		r.Decide(helloOf(t, "www.customer.org"), netip.AddrPort{}, &d)
		d.Later(t.Context(), &d)
		if d.Refuse != want || d.Detail != err.Error() {
			t.Errorf("%v: %v %q, want %v", err, d.Refuse, d.Detail, want)
		}
	}
}

// failing knows no name, and no lookup succeeds.
type failing struct {
	owners
	err error
}

func (f failing) Lookup(context.Context, string, netip.Addr) (customdomain.Target, error) {
	return customdomain.Target{}, f.err
}

// A reload replaces the domains as a whole.
func TestDomainsAreReplaced(t *testing.T) {
	r := newDecider(t, nil)
	r.SetDomains([]config.Domain{{Name: "plain.test"}, {Name: "new.test"}})
	for name, want := range map[string]relay.Reason{
		"aaaa.gw.test": relay.UnknownDomain, "gw.test": relay.UnknownDomain, "plain.test": relay.UnknownDomain,
		"aaaa-443s.new.test": 0,
	} {
		var d relay.Decision
		if r.Decide(helloOf(t, name), netip.AddrPort{}, &d); d.Refuse != want {
			t.Errorf("%s: %v, want %v", name, d.Refuse, want)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	r := newDecider(b, nil)
	for name, sni := range map[string]string{"passed through": "aaaa-443s.gw.test", "ends here": "aaaa-8080.gw.test", "unknown app": "nobody.gw.test"} {
		h := helloOf(b, sni)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var d relay.Decision
				r.Decide(h, netip.AddrPort{}, &d)
			}
		})
	}
}
