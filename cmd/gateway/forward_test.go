package main

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cutOff is a server that resets each connection in the middle of its answer.
func cutOff(t *testing.T, half string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1))
			_, _ = io.WriteString(c, half)
			for unacknowledged(c.(*net.TCPConn)) > 0 {
				<-time.After(time.Millisecond)
			}
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

func unacknowledged(c *net.TCPConn) (n int) {
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	}
	return n
}

// The whole way: a machine's forwarder, its network stack, the gateway's, and TLS.
func TestAnswerThatIsCutOffAtAMachineIsSeenToBe(t *testing.T) {
	s := newSite(t)
	s.machine("vm1", vm1)
	s.gateway()
	s.until("the gateway is up", serving(0))
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	s.join("vm1", "--forward", "80="+cutOff(t, "half"), "--forward", "81="+nobody.Addr().String())
	s.until("the machine is up", serving(1))
	for port, want := range map[string]string{"80": "half", "81": ""} {
		d := tls.Dialer{Config: &tls.Config{RootCAs: s.roots, ServerName: testApp + "-" + port + ".gw.test"}}
		c, err := d.DialContext(t.Context(), "tcp", s.clients)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		// The reset may have come before, and is reported once.
		_, errWrite := io.WriteString(c, "x")
		if b, err := io.ReadAll(c); string(b) != want || !errors.Is(errors.Join(errWrite, err), syscall.ECONNRESET) {
			t.Errorf("port %s: %q, then %v", port, b, err)
		}
	}
}
