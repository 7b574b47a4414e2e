package relay

import (
	"log/slog"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"sallyport/internal/hello"
)

func TestCloseClosesWhatListenOpened(t *testing.T) {
	open := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	const some = time.Second
	e, err := New(Options{
		Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, Loops: 2, Log: slog.New(slog.DiscardHandler),
		Route:    func(*hello.Hello, netip.AddrPort, *Decision) {},
		Timeouts: Timeouts{Hello: some, Handshake: some, Connect: some, Hedge: some, Drain: some},
	})
	if err != nil {
		t.Fatal(err)
	}
	before := open()
	addrs, err := e.Listen()
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
	if now := open(); now > before {
		t.Errorf("%d descriptors are open, %d before Listen", now, before)
	}
	if c, err := net.Dial("tcp", addrs[0].String()); err == nil {
		c.Close()
		t.Error("clients still connect")
	}
	e.Close() // a second time changes nothing
}
