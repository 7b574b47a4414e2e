package e2e

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"sallyport/internal/gwtest"
)

// serveUntilLeft is a server behind a passthrough name: it answers a ClientHello, and
// closes when its client has.
func (c *cvm) serveUntilLeft(t *testing.T, addr string) {
	t.Helper()
	c.serve(t, addr, func(conn net.Conn) {
		if _, err := conn.Read(make([]byte, 1<<10)); err == nil {
			_, _ = conn.Write([]byte("."))
			_, _ = io.Copy(io.Discard, conn)
		}
	})
}

// leave makes a connection that the client ends first: whoever passes that on to the
// instance holds a port for a minute.
func (w *world) leave(hello []byte) error {
	c, err := w.tryDial()
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err = c.Write(hello); err != nil {
		return err
	}
	b := make([]byte, 16)
	if n, err := c.Read(b); err != nil || string(b[:n]) != "." {
		return fmt.Errorf("read %x, %w", b[:n], err)
	}
	return nil
}

// The kernel's range is made small, which is less kind than any machine: a few
// connections a minute would use it up. It leaves room for those whose end a busy
// machine has not come to yet: they hold their ports by right.
func TestShortConnectionsDoNotUseUpTheLocalPorts(t *testing.T) {
	w := newWorld(t)
	w.gateway.Sysctl(t, "ipv4/ip_local_port_range", "40000 40199")
	g := w.start()
	w.cvms[0].serveUntilLeft(t, ":443")
	hello := gwtest.Hello{ServerName: name("alpha", "s")}.Record()
	for i := range 800 {
		if err := w.leave(hello); err != nil {
			t.Fatalf("connection %d: %v\n%s", i, err, g.access(name("alpha", "s")))
		}
	}
}

func TestConnectionForWhichNoLocalPortIsLeftIsToldSo(t *testing.T) {
	w := newWorld(t)
	w.gateway.Sysctl(t, "ipv4/ip_local_port_range", "40000 40039")
	g := w.start()
	w.cvms[0].serveUntilLeft(t, ":443")
	hello := gwtest.Hello{ServerName: name("alpha", "s")}.Record()
	for i := range 40 {
		c := w.dial()
		defer c.Close()
		mustWrite(t, c, hello)
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	c := w.dial()
	defer c.Close()
	mustWrite(t, c, hello)
	if b, err := io.ReadAll(c); err != nil || len(b) != 7 || b[6] != 80 {
		t.Errorf("%x, %v: want the alert internal_error", b, err)
	}
	g.waitFor("the reason", `gateway_connections_total{reason="no_local_port"}`, 1)
	eventually(t, patience, "the log says what to do", func() bool { return strings.Contains(g.Log(), "net.ipv4.ip_local_port_range") })
}
