package peers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/gwtest"

	"golang.org/x/sys/unix"
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

// A program ends with this process, and not with the thread that asked for it.
func TestProgramOutlivesTheThreadThatAskedForIt(t *testing.T) {
	var p *Process
	gone := func() bool {
		tid := make(chan int)
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
			defer func() { tid <- unix.Gettid() }()
			if unix.Gettid() == os.Getpid() {
				return // the main thread only sleeps
			}
			var err error
			if p, err = Launch(-1, "/bin/sleep", "60"); err != nil {
				t.Error(err)
			}
		}()
		thread := fmt.Sprintf("/proc/self/task/%d", <-tid)
		for deadline := time.Now().Add(10 * time.Second); p != nil && time.Now().Before(deadline); runtime.Gosched() {
			if _, err := os.Stat(thread); err != nil {
				return true
			}
		}
		return false
	}
	for attempts := 0; !gone(); attempts++ {
		if attempts == 3 || p != nil {
			t.Fatal("the thread has not ended")
		}
	}
	defer func() { _ = p.Stop() }()
	select {
	case <-p.Ended():
		t.Error("it has ended")
	case <-time.After(200 * time.Millisecond):
	}
}

func TestLogThatNobodyReadsFillsItsPipe(t *testing.T) {
	s := newSite(t)
	s.Gateway, s.Descriptors = s.Dir+"/gateway", 100
	// It says how many descriptors it may have, listens nowhere and fills its log.
	script := "#!/bin/sh\nulimit -n >" + s.Dir + "/limit\nexec yes\n"
	if err := os.WriteFile(s.Gateway, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	p := &Process{output: &output{}, ended: make(chan struct{})}
	if err := p.launch(s, Form{Program: Gateway, Exposed: true, Deaf: true}, "-"); err != nil {
		t.Fatal(err)
	}
	const whole = 64 << 10 // pipe(7)
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		if n, err := unix.IoctlGetInt(int(p.unread.Fd()), unix.TIOCINQ); err != nil || n > whole-4096 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("somebody reads it")
		}
	}
	if limit, err := os.ReadFile(s.Dir + "/limit"); err != nil || string(limit) != "100\n" {
		t.Errorf("descriptors: %q, %v", limit, err)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
}
