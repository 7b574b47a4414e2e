// Package hold keeps an interface's name and a private key for one process.
//
// A kernel interface with our key is assumed to be left over from an earlier run, and
// is removed when its gateway stops. So two processes must never have one at a time.
//
// An abstract Unix socket holds the name of an interface: such sockets belong to a
// network namespace, as interfaces do, whatever the processes' files and roots are,
// and end with their process. A lock on its file holds a private key, in all
// namespaces: two tunnels with one key take each other's peers away.
//
// Any user of the host can listen on the socket first and so keep a gateway from
// starting (not a running one from running). The error names that user's process.
package hold

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"sallyport/internal/oneline"
	"sallyport/internal/regularfile"
)

// held is the right to an interface's name, until it is closed.
type held struct {
	listener *net.UnixListener
	quit     chan struct{}
	running  sync.WaitGroup
}

// Interface holds the name of an interface for this process, in the network
// namespace of the calling thread, until the result is closed. The error names the
// process that holds it already.
func Interface(iface string) (io.Closer, error) {
	addr := &net.UnixAddr{Name: "@sallyport/tunnel/" + iface, Net: "unix"}
	l, err := net.ListenUnix("unix", addr)
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, fmt.Errorf("interface %s is held by %s: stop it, or choose another [wireguard] interface", iface, listenerOf(addr))
	}
	if err != nil {
		return nil, fmt.Errorf("hold interface %s: %w", iface, err)
	}
	h := &held{listener: l, quit: make(chan struct{})}
	h.running.Go(h.answer)
	return h, nil
}

// answer accepts the connections of processes that look for the holder: otherwise the
// queue would fill up.
func (h *held) answer() {
	for {
		if c, err := h.listener.Accept(); err == nil {
			_ = c.Close() // nothing was written
			continue
		}
		select {
		case <-h.quit:
			return
		case <-time.After(100 * time.Millisecond): // out of descriptors: do not spin
		}
	}
}

// Close implements io.Closer.
func (h *held) Close() error {
	close(h.quit)
	err := h.listener.Close()
	h.running.Wait()
	return err
}

// listenerOf describes the process that listens at addr.
func listenerOf(addr *net.UnixAddr) string {
	const unknown = "another process"
	c, err := net.DialTimeout("unix", addr.Name, time.Second) //nolint:noctx // local, and bounded
	if err != nil {
		return unknown
	}
	defer c.Close()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return unknown
	}
	var who *unix.Ucred
	if cerr := raw.Control(func(fd uintptr) { who, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); cerr != nil || err != nil {
		return unknown
	}
	return fmt.Sprintf("%s of user %d", process(int(who.Pid)), who.Uid)
}

// process describes a process by its number and its command line, which it chooses
// itself.
func process(pid int) string {
	if pid <= 0 {
		return "a process of another container"
	}
	name := "process " + strconv.Itoa(pid)
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil {
		return name
	}
	defer f.Close()
	const enough = 200
	words, err := io.ReadAll(io.LimitReader(f, enough))
	if err != nil || len(words) == 0 {
		return name
	}
	return name + " (" + printable(words) + ")"
}

// printable returns a command line as one line for a log.
func printable(words []byte) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, string(bytes.TrimRight(words, "\x00")))
}

// Key locks the private key file path for this process until the result is closed: a
// second tunnel with the key, in any network namespace, would take away the peers of
// the first. The error names the process that has the lock. Where the file system has
// no locks, a warning goes to log.
func Key(path string, log *slog.Logger) (io.Closer, error) {
	f, _, err := regularfile.Open(path)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		err = fmt.Errorf("private key %s is used by %s: stop it, or use another private key here", path, lockerOf(f))
		return nil, oneline.Join(err, f.Close())
	case err != nil: // some network file systems have no locks
		log.Warn("cannot lock the file of the private key; make sure that no other process uses it", "file", path, "error", err.Error())
	}
	return f, nil
}

// lockerOf describes the process that has the lock on f.
func lockerOf(f *os.File) string {
	const unknown = "another process"
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return unknown
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return unknown
	}
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	for line := range strings.Lines(string(locks)) {
		// 1: FLOCK  ADVISORY  WRITE 708 08:01:2752515 0 EOF
		words := strings.Fields(line)
		if len(words) < 6 || words[1] != "FLOCK" || words[5] != file {
			continue
		}
		if pid, err := strconv.Atoi(words[4]); err == nil {
			return process(pid)
		}
	}
	return unknown
}
