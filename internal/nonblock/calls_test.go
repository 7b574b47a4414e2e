package nonblock

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// pair is the two ends of a TCP connection, non-blocking. The end of the process closes
// what a test has not closed itself: a number could be another descriptor's by then.
func pair(t *testing.T) (near, far int32) {
	t.Helper()
	return pairAt(t, netip.MustParseAddrPort("127.0.0.1:0"))
}

func pairAt(t *testing.T, at netip.AddrPort) (near, far int32) {
	t.Helper()
	ln := socket(t, at)
	if e := Bind(ln, at); e != 0 {
		t.Fatal(e)
	}
	if err := unix.Listen(int(ln), 1); err != nil {
		t.Fatal(err)
	}
	to, err := Addr(ln)
	if err != nil {
		t.Fatal(err)
	}
	near = socket(t, at)
	if e := Connect(near, to); e != 0 && e != unix.EINPROGRESS {
		t.Fatal(e)
	}
	await(t, ln, unix.POLLIN)
	far, from, e := Accept(ln)
	if e != 0 {
		t.Fatal(e)
	}
	if own, err := Addr(near); err != nil || own != from {
		t.Errorf("a connection from %v, %v was accepted as one from %v", own, err, from)
	}
	if _, _, e := Accept(ln); e != unix.EAGAIN {
		t.Errorf("a second connection: %v", e)
	}
	return near, far
}

func socket(t *testing.T, at netip.AddrPort) int32 {
	t.Helper()
	family := unix.AF_INET6
	if at.Addr().Unmap().Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return int32(fd)
}

// await waits until fd is ready.
func await(t *testing.T, fd int32, events int16) {
	t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: fd, Events: events}}, 10_000)
		if n == 1 {
			return
		}
		if !errors.Is(err, unix.EINTR) {
			t.Fatalf("descriptor %d: %d, %v", fd, n, err)
		}
	}
}

func TestBytesAndTheEndArrive(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0", "[::ffff:127.0.0.1]:0"} {
		near, far := pairAt(t, netip.MustParseAddrPort(at))
		b := make([]byte, 16)
		if n, e := Read(far, b); n != 0 || e != unix.EAGAIN {
			t.Errorf("an empty socket: %d, %v", n, e)
		}
		if n, e := Send(near, []byte("hello")); n != 5 || e != 0 {
			t.Fatal(n, e)
		}
		await(t, far, unix.POLLIN)
		if n, e := Unread(far); n != 5 || e != 0 {
			t.Errorf("%d bytes to read, %v", n, e)
		}
		if n, e := Read(far, b); e != 0 || string(b[:n]) != "hello" {
			t.Errorf("%q, %v", b[:n], e)
		}
		ShutdownWrite(near)
		await(t, far, unix.POLLRDHUP)
		if n, e := Read(far, b); n != 0 || e != 0 {
			t.Errorf("the end is %d, %v", n, e)
		}
	}
}

func TestNothingIsReadIntoNothing(t *testing.T) {
	near, _ := pair(t)
	if n, e := Read(near, nil); n != 0 || e != 0 {
		t.Errorf("read: %d, %v", n, e)
	}
	if n, e := Send(near, nil); n != 0 || e != 0 {
		t.Errorf("send: %d, %v", n, e)
	}
}

func TestFullSocketTakesNothing(t *testing.T) {
	near, _ := pair(t)
	some := make([]byte, 1<<16)
	sent := 0
	for {
		n, e := Send(near, some)
		sent += n
		if e != 0 {
			if n != 0 || e != unix.EAGAIN {
				t.Errorf("a full socket: %d, %v", n, e)
			}
			break
		}
	}
	if n := Unsent(near); n <= 0 || n > sent {
		t.Errorf("%d of %d bytes are not acknowledged", n, sent)
	}
}

func TestSpliceMovesBytes(t *testing.T) {
	near, far := pair(t)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer Close(int32(pipe[0]))
	defer Close(int32(pipe[1]))
	if n, e := Splice(far, int32(pipe[1]), 100); n != 0 || e != unix.EAGAIN {
		t.Errorf("of an empty socket: %d, %v", n, e)
	}
	Send(near, []byte("hello"))
	await(t, far, unix.POLLIN)
	if n, e := Splice(far, int32(pipe[1]), 100); n != 5 || e != 0 {
		t.Errorf("into the pipe: %d, %v", n, e)
	}
	if n, e := Splice(int32(pipe[0]), far, 100); n != 5 || e != 0 {
		t.Errorf("out of the pipe: %d, %v", n, e)
	}
	await(t, near, unix.POLLIN)
	b := make([]byte, 16)
	if n, e := Read(near, b); e != 0 || string(b[:n]) != "hello" {
		t.Errorf("%q, %v", b[:n], e)
	}
}

func TestResetArrives(t *testing.T) {
	near, far := pair(t)
	ResetOnClose(near)
	Close(near)
	await(t, far, unix.POLLIN)
	if n, e := Read(far, make([]byte, 1)); n != 0 || e != unix.ECONNRESET {
		t.Errorf("%d, %v", n, e)
	}
}

func TestErrorSaysWhyAConnectFailed(t *testing.T) {
	at := netip.MustParseAddrPort("127.0.0.1:0")
	taken := socket(t, at) // bound, and nobody listens
	if e := Bind(taken, at); e != 0 {
		t.Fatal(e)
	}
	to, err := Addr(taken)
	if err != nil {
		t.Fatal(err)
	}
	fd := socket(t, at)
	e := Connect(fd, to)
	if e == unix.EINPROGRESS {
		await(t, fd, unix.POLLOUT)
		e = Error(fd)
	}
	if e != unix.ECONNREFUSED {
		t.Errorf("got %v", e)
	}
	if e := Bind(fd, to); e == 0 {
		t.Error("an address was taken twice")
	}
	if e := Error(-1); e != unix.EBADF {
		t.Errorf("of no socket: %v", e)
	}
}

func TestOnlyInternetSocketsHaveAnAddress(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer Close(int32(fds[0]))
	defer Close(int32(fds[1]))
	if a, err := Addr(int32(fds[0])); err == nil {
		t.Errorf("a Unix socket is at %v", a)
	}
	if _, err := Addr(-1); !errors.Is(err, unix.EBADF) {
		t.Errorf("of no socket: %v", err)
	}
}

func TestSetIntSetsAnOption(t *testing.T) {
	near, _ := pair(t)
	SetInt(near, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if on, err := unix.GetsockoptInt(int(near), unix.IPPROTO_TCP, unix.TCP_NODELAY); on == 0 || err != nil {
		t.Errorf("TCP_NODELAY is %d, %v", on, err)
	}
}

// What is not in the list would be taken for a call that the runtime can interrupt.
func TestEveryRawCallIsListed(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	raw, listed := map[string]bool{}, map[string]bool{}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if call := selected(n.Fun); call == "RawSyscall" || call == "RawSyscall6" {
					raw[selected(n.Args[0])] = true
				}
			case *ast.CompositeLit:
				for _, e := range n.Elts {
					if name := selected(e); name != "" {
						listed[name] = true
					}
				}
			}
			return true
		})
	}
	for name := range raw {
		if !listed[name] {
			t.Errorf("%s is called raw and not listed", name)
		}
	}
	if len(raw) != len(calls) {
		t.Errorf("%d calls are made raw and %d are listed", len(raw), len(calls))
	}
	if !Raw(unix.SYS_RECVFROM) || Raw(unix.SYS_READ) {
		t.Error("recvfrom is raw here, and read is not")
	}
}

// selected is the name behind the dot.
func selected(e ast.Expr) string {
	if s, ok := e.(*ast.SelectorExpr); ok {
		return s.Sel.Name
	}
	return ""
}
