package main

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/admin"
	"sallyport/internal/gwtest"
)

// logSite is a gateway with an echo server behind it, and a log of the test's own.
type logSite struct {
	*site
	cmd  *exec.Cmd
	echo string // its name's first label: passed through
	end  chan error
}

// newLogSite starts a gateway that logs to stderr.
func newLogSite(t *testing.T, stderr *os.File) *logSite {
	t.Helper()
	s := &logSite{
		site: &site{t: t, dir: t.TempDir(), clients: freeTCP(t), admin: freeTCP(t), roots: x509.NewCertPool()},
		end:  make(chan error, 1),
	}
	gwtest.WritePEM(t, s.dir, "web", gwtest.NewCA(t).Server(t, "*.gw.test"))
	text := fmt.Sprintf(`
[[domain]]
name = "gw.test"
cert = "web.pem"
key = "web.key"
[proxy]
listen = [%q]
loops = 1
[proxy.timeouts]
drain = "1s"
[wireguard]
mode = "none"
[[instance]]
app_id = "app"
address = "127.0.0.1"
[store]
path = "store"
[admin]
listen = %q
[log]
access = true
`, s.clients, s.admin)
	if err := os.WriteFile(s.path("gateway.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, port := gwtest.Listen(t, "127.0.0.1")
	s.echo = "app-" + port + "s"
	go func() {
		for {
			c, err := l[0].Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	s.cmd = gwtest.Program(t, "run", "--config", s.path("gateway.toml"))
	s.cmd.Stderr = stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.end <- s.cmd.Wait() }()
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	s.until("the gateway is up", func(*admin.Status) bool { return true })
	return s
}

// stopped is a pipe whose reader has stopped: it is full. The first bytes of it are
// zeros.
func stopped(t *testing.T) (reader, writer *os.File) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	size, err := unix.FcntlInt(uintptr(fds[1]), unix.F_GETPIPE_SZ, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := unix.Write(fds[1], make([]byte, size)); n != size || err != nil {
		t.Fatalf("filled the pipe with %d bytes of %d: %v", n, size, err)
	}
	reader, writer = os.NewFile(uintptr(fds[0]), "reader"), os.NewFile(uintptr(fds[1]), "writer")
	t.Cleanup(func() { reader.Close(); writer.Close() })
	return reader, writer
}

// connect is a connection to the echo server.
func (s *logSite) connect() net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.clients)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	s.mustEcho(c, gwtest.Hello{ServerName: s.echo + ".gw.test"}.Record())
	return c
}

func (s *logSite) mustEcho(c net.Conn, b []byte) {
	s.t.Helper()
	got := make([]byte, len(b))
	if _, err := c.Write(b); err != nil {
		s.t.Fatal(err)
	}
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, b) {
		s.t.Fatalf("sent %d bytes and got others back, or an error: %v", len(b), err)
	}
}

// dropped is the metric of dropped lines.
func (s *logSite) dropped() int {
	s.t.Helper()
	resp, err := http.Get("http://" + s.admin + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^gateway_log_lines_dropped_total (\S+)$`).FindSubmatch(b)
	if m == nil {
		s.t.Fatal("there is no gateway_log_lines_dropped_total")
	}
	n, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return int(n)
}

// mustStop has the gateway end by itself, and with success.
func (s *logSite) mustStop() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	select {
	case err := <-s.end:
		if err != nil {
			s.t.Errorf("the gateway's end: %v", err)
		}
	case <-time.After(30 * time.Second):
		s.t.Error("the gateway does not end")
	}
}

func TestLogReaderThatHasStoppedStopsNobody(t *testing.T) {
	reader, writer := stopped(t)
	s := newLogSite(t, writer)
	writer.Close()
	up := s.connect()
	refused := 0
	for n := 0; s.dropped() == 0; n++ {
		if n > 40 {
			t.Fatal("no line was dropped")
		}
		for range 100 {
			s.connect().Close()
		}
		for range 10 {
			if _, err := s.get("nobody"); err == nil {
				t.Fatal("nobody answered")
			}
			refused++
		}
		s.mustEcho(up, []byte("still here"))
	}
	text := make(chan string)
	go func() {
		b, _ := io.ReadAll(reader)
		text <- string(b)
	}()
	gwtest.Await(t, "the last lines of the rings are written", func() bool {
		before := s.dropped()
		s.connect().Close()
		return s.dropped() == before
	})
	dropped := s.dropped()
	s.mustStop()
	log := <-text
	told := 0
	for _, m := range regexp.MustCompile(`(?m)msg="log lines were dropped.* lines=(\d+) `).FindAllStringSubmatch(log, -1) {
		n, _ := strconv.Atoi(m[1])
		told += n
	}
	if told != dropped || told == 0 {
		t.Errorf("%d lines were dropped, and the log tells of %d", dropped, told)
	}
	// Refusals have few lines, however many they are.
	for _, want := range []string{"msg=stopped", "reason=unknown_app"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %q", want)
		}
	}
}

func TestLogReaderThatHasStoppedDoesNotKeepTheProcess(t *testing.T) {
	_, writer := stopped(t)
	s := newLogSite(t, writer)
	s.mustEcho(s.connect(), []byte("x"))
	s.mustStop()

	cmd := gwtest.Program(t, "run", "--config", s.path("none.toml"))
	cmd.Stderr = writer
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	guard := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer guard.Stop()
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("a start that fails: %v, want exit code 1", err)
	}
}

func TestLogReaderThatHasClosedDoesNotEndTheProcess(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := newLogSite(t, writer)
	writer.Close()
	s.connect().Close()
	reader.Close()
	for range 3 {
		s.connect().Close() // each has a line
		s.mustEcho(s.connect(), []byte("x"))
	}
	gwtest.Await(t, "the lines are counted as dropped", func() bool { return s.dropped() > 0 })
	s.mustStop()
}

func TestFullDiskUnderTheLogStopsNobody(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("this machine has no /dev/full")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	s := newLogSite(t, full)
	s.connect().Close()
	s.mustEcho(s.connect(), []byte("x"))
	gwtest.Await(t, "the lines are counted as dropped", func() bool { return s.dropped() > 0 })
	s.mustStop()
}
