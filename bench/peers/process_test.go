package peers

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/gwtest"
)

// newSite has a backend that greets and hangs up, and does not wait for a word.
func newSite(t *testing.T) *Site {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("hello"))
			_ = c.(*net.TCPConn).CloseWrite()
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	s := &Site{Dir: t.TempDir(), CPU: -1, Backend: l.Addr().(*net.TCPAddr).AddrPort(), Domain: "gw.test"}
	ca := gwtest.NewCA(t)
	s.Certificate, s.Key = gwtest.WritePEM(t, s.Dir, "server", ca.Server(t, "*.gw.test"))
	cert, err := os.ReadFile(s.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(s.Key)
	if err != nil {
		t.Fatal(err)
	}
	s.Bundle = s.Dir + "/both.pem"
	if err := os.WriteFile(s.Bundle, slices.Concat(cert, key), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestEveryPeerRoutesAndEndsTLS starts each form as a comparison does.
func TestEveryPeerRoutesAndEndsTLS(t *testing.T) {
	missing := Missing()
	for _, f := range Forms() {
		if f.Program == Gateway {
			continue // the smoke test of package compare has it
		}
		t.Run(f.Name, func(t *testing.T) {
			if slices.Contains(missing, f.Program) {
				t.Skip(f.Program + " is not installed")
			}
			s := newSite(t)
			p, err := s.Start(t.Context(), f, "")
			if err != nil {
				t.Fatal(err)
			}
			if got := greeting(t, p.Passthrough, gwtest.Hello{ServerName: s.Passed()}.Record()); got != "hello" {
				t.Errorf("passed through: %q", got)
			}
			// Whom it does not know it does not route.
			if got := greeting(t, p.Passthrough, gwtest.Hello{ServerName: "other.gw.test"}.Record()); got != "" {
				t.Errorf("passed through another name: %q", got)
			}
			if state := shake(t, p.Terminated, s.Ended()); state.CipherSuite != tls.TLS_AES_128_GCM_SHA256 || state.CurveID != tls.X25519 {
				t.Errorf("TLS with %s and %v", tls.CipherSuiteName(state.CipherSuite), state.CurveID)
			}
			if err := p.Stop(); err != nil {
				t.Error(err)
			}
			if err := syscall.Kill(-p.PID, 0); !errors.Is(err, syscall.ESRCH) {
				t.Errorf("something of it is left: %v", err)
			}
		})
	}
}

// greeting sends first and reads to the end of the stream.
func greeting(t *testing.T, to netip.AddrPort, first []byte) string {
	t.Helper()
	c, err := net.Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = c.Write(first)
	b, _ := io.ReadAll(c) // a reset is an end too
	return string(b)
}

func shake(t *testing.T, to netip.AddrPort, name string) tls.ConnectionState {
	t.Helper()
	c, err := tls.Dial("tcp", to.String(), &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if b, err := io.ReadAll(c); string(b) != "hello" {
		t.Errorf("ended: %q, %v", b, err)
	}
	return c.ConnectionState()
}

func TestProgramThatEndsAtOnceTellsWhy(t *testing.T) {
	s := newSite(t)
	s.Gateway = s.Dir + "/gateway"
	if err := os.WriteFile(s.Gateway, []byte("#!/bin/sh\necho no such key >&2\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Start(t.Context(), Form{Name: Gateway, Program: Gateway}, ""); err == nil || !strings.Contains(err.Error(), "no such key") {
		t.Errorf("the error is %v", err)
	}
}

func TestProgramThatDoesNotListenIsEnded(t *testing.T) {
	s := newSite(t)
	s.Gateway = s.Dir + "/gateway"
	if err := os.WriteFile(s.Gateway, []byte("#!/bin/sh\necho $$ >"+s.Dir+"/pid\nexec sleep 60\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	p, err := s.Start(ctx, Form{Name: Gateway, Program: Gateway}, "")
	if err == nil {
		t.Fatal("it started")
	}
	if p != nil {
		t.Errorf("a process beside the error: %+v", p)
	}
	if left, _ := os.ReadDir(s.Dir); len(left) > 5 { // cert, key, both, program, pid
		t.Errorf("files are left: %v", left)
	}
}
