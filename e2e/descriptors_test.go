package e2e

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/gwtest"
)

// A gateway with 500 descriptors, and clients that hold all they can: idle ones at the
// gateway's own site, silent ones, and refused ones that never leave. Each kind is held to
// its share: operators are answered and a new certificate is read all the while, and a
// client of an app is served as soon as a place is free.
func TestClientsOfOneKindDoNotTakeTheDescriptorsOfAnother(t *testing.T) {
	const limit = 500
	w := newWorld(t, "prlimit")
	g := w.startAlone(programs.tested, []string{"prlimit", "--nofile=500:500"}, setting{"log.access", false})
	w.connectCVMs(g)
	w.cvms[0].serveHello(t, ":443", make([]byte, 100))

	var crowd sync.WaitGroup
	for range 150 { // each was three descriptors
		crowd.Go(func() { w.idleAtOwnSite("gateway." + domain) })
		crowd.Go(func() { w.holdOpen(gwtest.Hello{ServerName: name("nobody", "s")}.Record()) })
		crowd.Go(func() { w.holdOpen(nil) })
	}
	crowd.Wait()
	if n := g.metric("process_open_fds"); n < limit/4 || n > limit-32 {
		t.Errorf("%v descriptors are open of %d: want the shares of clients to be used up, and no more", n, limit)
	}
	gwtest.WritePEM(t, w.dir, "gateway", w.ca.Server(t, "*."+domain))
	g.Signal(t, syscall.SIGHUP)
	eventually(t, patience, "the new certificate is read", func() bool { return strings.Contains(g.Log(), `msg="certificates read" changed=1`) })
	if n := g.metric("gateway_accept_errors_total"); n != 0 {
		t.Errorf("%v clients found no descriptor", n)
	}
	if n := g.metric("gateway_refused_reset_total"); n == 0 {
		t.Error("all refused clients could linger")
	}
	if n := g.metric(`gateway_connections_total{reason="source_limit"}`); n == 0 {
		t.Error("one client may hold all places of the own site")
	}
	if log := g.Log(); strings.Contains(log, "too many open files") || strings.Contains(log, "no_descriptor") {
		t.Error("somebody found no descriptor")
	}
	eventually(t, patience, "silent clients have met their deadline", func() bool {
		c, err := w.tryDial()
		if err != nil {
			return false
		}
		defer c.Close()
		n := 0
		if _, err = c.Write(gwtest.Hello{ServerName: name("alpha", "s")}.Record()); err == nil {
			n, _ = c.Read(make([]byte, 100))
		}
		return n == 100
	})
}

// idleAtOwnSite connects to the gateway's own site and says nothing more until the test
// ends. Whether it is let in is not looked at.
func (w *world) idleAtOwnSite(serverName string) {
	raw, err := w.tryDial()
	if err != nil {
		return
	}
	w.t.Cleanup(func() { raw.Close() })
	conf := &tls.Config{ServerName: serverName, RootCAs: w.ca.Pool()}
	if err := tls.Client(raw, conf).HandshakeContext(w.t.Context()); err != nil && !isRefusal(err) {
		w.t.Errorf("own site: %v", err)
	}
}

// isRefusal reports whether the gateway ended a handshake by an alert or at once.
func isRefusal(err error) bool {
	alert, op := tls.AlertError(0), (*net.OpError)(nil)
	return errors.As(err, &alert) || errors.As(err, &op) || strings.Contains(err.Error(), "EOF")
}

// holdOpen connects, sends b, and stays until the test ends.
func (w *world) holdOpen(b []byte) {
	c, err := w.tryDial()
	if err != nil {
		return
	}
	w.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	_, _ = c.Write(b) // it may have been refused already
}
