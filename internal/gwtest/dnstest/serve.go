package dnstest

import (
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// Serve lets handler answer at address by UDP and TCP on one port, until the test
// ends, and returns where. address is host:port; with port 0 it takes a free one. The
// handler is called concurrently.
func Serve(t testing.TB, address string, handler dns.HandlerFunc) netip.AddrPort {
	t.Helper()
	udp, tcp := listen(t, address)
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: handler}, {Listener: tcp, Handler: handler}} {
		var running sync.WaitGroup
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		running.Go(func() {
			if err := s.ActivateAndServe(); err != nil {
				t.Error(err)
			}
		})
		<-started
		t.Cleanup(func() {
			if err := s.Shutdown(); err != nil {
				t.Error(err)
			}
			running.Wait()
		})
	}
	return netip.MustParseAddrPort(udp.LocalAddr().String())
}

// listen takes a port that is free for both.
func listen(t testing.TB, address string) (net.PacketConn, net.Listener) {
	t.Helper()
	var failure error
	for range 20 {
		udp, err := net.ListenPacket("udp", address)
		if err != nil {
			t.Fatal(err)
		}
		tcp, err := net.Listen("tcp", udp.LocalAddr().String())
		if err == nil {
			return udp, tcp
		}
		udp.Close() //nolint:errcheck // nothing was sent
		failure = err
	}
	t.Fatal(failure)
	return nil, nil
}
