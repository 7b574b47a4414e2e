package issue

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/config"
	"sallyport/internal/gwtest"
	"sallyport/registry/store"
)

// embedded is the configuration of a gateway that is the name server of gw.test.
func embedded(t *testing.T) *config.Config {
	t.Helper()
	resolver := netip.MustParseAddrPort("127.0.0.1:53") // which nobody asks before an order
	c := &config.Config{Domains: []config.Domain{{Name: "gw.test", ACME: true, Wildcard: true}}}
	c.Store.Path = t.TempDir()
	c.ACME.DNS, c.ACME.Resolvers = config.DNSEmbedded, []netip.AddrPort{resolver}
	c.ACME.Directory = &url.URL{Scheme: "https", Host: "ca.invalid", Path: "/dir"}
	c.ACME.Embedded = config.Embedded{
		Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, Zone: config.ZoneDomain,
		Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.7")},
	}
	return c
}

func openStore(t *testing.T, c *config.Config) *store.Bolt {
	t.Helper()
	db, err := store.OpenBolt(filepath.Join(c.Store.Path, store.FileName))
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestIssuerIsOpenUntilItIsClosed(t *testing.T) {
	c := embedded(t)
	db := openStore(t, c)
	defer db.Close()
	i, err := Open(t.Context(), Options{Config: c, Store: db, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	at := i.Addresses()
	if len(at) != 1 || at[0].Port() == 0 {
		t.Fatalf("the name server listens at %v", at)
	}
	if s := i.Status(); len(s) != 1 || s[0].Name != "*.gw.test" {
		t.Errorf("status %+v", s)
	}
	if _, ok := i.Challenge("gw.test"); ok {
		t.Error("a challenge on the port for clients, and DNS proves control")
	}
	i.Close()
	if l, err := net.Listen("tcp", at[0].String()); err != nil {
		t.Errorf("after Close: %v", err)
	} else {
		l.Close()
	}
}

// interrupted is a store whose reader is called off.
type interrupted struct {
	store.Store
	cancel context.CancelFunc
}

func (i interrupted) List(context.Context, string) ([]store.Pair, int64, error) {
	i.cancel()
	return nil, 0, context.Canceled
}

// The start is called off while the stored certificates are read: what was opened before is
// closed again.
func TestFailedOpenLeavesNothingOpen(t *testing.T) {
	c := embedded(t)
	db := openStore(t, c)
	defer db.Close()
	var log gwtest.Buffer
	before := openFiles(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	i, err := Open(ctx, Options{Config: c, Store: interrupted{db, cancel}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err == nil || i != nil {
		t.Fatalf("%v, %v; want an error", i, err)
	}
	if !strings.Contains(log.String(), "answering DNS") {
		t.Errorf("it failed before it listened: %v", err)
	}
	if now := openFiles(t); now > before {
		t.Errorf("%d descriptors are open, %d before", now, before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestNoIssuerWithoutADomainOfAnAuthority(t *testing.T) {
	c := &config.Config{Domains: []config.Domain{{Name: "gw.test", Wildcard: true}}}
	if i, err := Open(t.Context(), Options{Config: c, Log: slog.New(slog.DiscardHandler)}); i != nil || err != nil {
		t.Errorf("%v, %v", i, err)
	}
	if err := Check(c); err != nil {
		t.Error(err)
	}
}
