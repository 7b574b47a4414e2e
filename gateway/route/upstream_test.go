package route

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"sallyport/config"
	"sallyport/internal/gwtest"
	"sallyport/internal/vm"
)

const (
	one, two = "127.0.0.2", "127.0.0.3"
	shop     = "aaaa"
)

var shopOne, shopTwo = instance{shop, "aa01", one}, instance{shop, "aa02", two}

// listed is a list with the shop.
var listed = config.AppSet{IDs: []vm.AppID{shop}}

func TestListedAppIsReachedOverAttestedTLS(t *testing.T) {
	s := newSite(t, listed, shopOne, instance{"bbbb", "bb01", two})
	listeners, port := gwtest.Listen(t, one, two)
	gwtest.ServeWeb(t, listeners[0], s.identity(t, shop, "aa01"))
	gwtest.ServeWeb(t, listeners[1], nil)
	for _, test := range []struct {
		name   string
		offers []string
		want   string // protocol, ALPN and server name that the instance sees
	}{
		{"aaaa-" + port, nil, "HTTP/1.1  aaaa-" + port + ".gw.test"},
		{"aaaa-" + port, []string{"http/1.1"}, "HTTP/1.1 http/1.1 aaaa-" + port + ".gw.test"},
		{"aaaa-" + port + "g", []string{"h2"}, "HTTP/2.0 h2 aaaa-" + port + "g.gw.test"},
		{"aa01-" + port, nil, "HTTP/1.1  aa01-" + port + ".gw.test"}, // by its instance id
		{"bbbb-" + port, nil, "plain"},                               // not listed
	} {
		if got, err := s.offering(test.name, test.offers...); got != test.want {
			t.Errorf("%s offering %q: %q, %v; want %q", test.name, test.offers, got, err, test.want)
		}
	}
}

func TestTenMegabytesEachWayThroughAttestedTLS(t *testing.T) {
	s := newSite(t, config.AppSet{All: true}, shopOne)
	listeners, port := gwtest.Listen(t, one)
	sent := make([]byte, 10<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(sent)
	id := s.identity(t, shop, "aa01")
	go func() {
		raw, err := listeners[0].Accept()
		if err != nil {
			return
		}
		defer raw.Close()
		c := tls.Server(raw, id)
		b, _ := io.ReadAll(c)
		_, _ = c.Write(b)
		_ = c.CloseWrite()
	}()
	c, err := tls.Dial("tcp", s.clients, &tls.Config{RootCAs: s.roots, ServerName: "aaaa-" + port + ".gw.test"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(sent); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); err != nil || !bytes.Equal(b, sent) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func TestInstanceOfAnotherIdentityIsRefused(t *testing.T) {
	s := newSite(t, listed, shopOne)
	for name, conf := range map[string]*tls.Config{
		"another app":      s.identity(t, "bbbb", "aa01"),
		"another instance": s.identity(t, shop, "aa02"),
		"plain HTTP":       nil,
	} {
		listeners, port := gwtest.Listen(t, one)
		gwtest.ServeWeb(t, listeners[0], conf)
		if got, err := s.get("aaaa-" + port); err == nil || !strings.Contains(err.Error(), "internal error") {
			t.Errorf("%s: %q, %v; want the alert internal_error", name, got, err)
		}
	}
}

func TestOtherInstanceServesWhereOneIsNotTheApp(t *testing.T) {
	s := newSite(t, listed, shopOne, shopTwo)
	listeners, port := gwtest.Listen(t, one, two)
	gwtest.ServeWeb(t, listeners[0], s.identity(t, "bbbb", "bb01"))
	gwtest.ServeWeb(t, listeners[1], s.identity(t, shop, "aa02"))
	for range 8 {
		if got, err := s.get("aaaa-" + port); err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	if _, err := s.get("aa01-" + port); err == nil {
		t.Error("another instance stood in for the one that was asked for by its id")
	}
}

func TestPassedThroughNameIsNotTouched(t *testing.T) {
	s := newSite(t, config.AppSet{All: true}, shopOne)
	listeners, port := gwtest.Listen(t, one)
	own := gwtest.NewCA(t) // of the app's owner, whom no judge knows
	name := "aaaa-" + port + "s.gw.test"
	gwtest.ServeWeb(t, listeners[0], &tls.Config{Certificates: []tls.Certificate{own.Server(t, name)}})
	if got, err := s.fetch(name, own.Pool()); err != nil || got == "plain" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestListMayChangeWhileConnectionsCome(t *testing.T) {
	s := newSite(t, config.AppSet{}, shopOne)
	listeners, port := gwtest.Listen(t, one)
	gwtest.ServeWeb(t, listeners[0], nil)
	for _, step := range []struct {
		list  config.AppSet
		plain bool
	}{{config.AppSet{}, true}, {listed, false}, {config.AppSet{IDs: []vm.AppID{"bbbb"}}, true}, {config.AppSet{All: true}, false}} {
		if err := s.decider.SetUpstreams(step.list); err != nil {
			t.Fatal(err)
		}
		if got, err := s.get("aaaa-" + port); (err == nil) != step.plain {
			t.Errorf("%v: %q, %v", step.list, got, err)
		}
	}
}

func TestListWithoutAVerifierIsRefused(t *testing.T) {
	var u upstreams
	if err := u.set(config.AppSet{All: true}); !errors.Is(err, errNoVerifier) {
		t.Error(err)
	}
	if err := u.set(config.AppSet{}); err != nil {
		t.Error(err)
	}
}
