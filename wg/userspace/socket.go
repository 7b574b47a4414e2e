package userspace

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/oneline"
)

// SocketDir is where wgctrl and wg(8) look for the sockets of devices that are not the
// kernel's. All programs that use it agree on it, and the network namespaces of a host
// share it.
const SocketDir = "/var/run/wireguard"

const (
	maxConns = 16
	// connLife bounds one connection (wg(8) and wgctrl open one per request): the
	// device is locked while it answers, and a reader that stalls must not keep it so.
	connLife = 10 * time.Second
)

// Socket is the UAPI socket of one device. Any program that can connect to it reads
// the private key, so only the owner may.
type Socket struct {
	listener *net.UnixListener
	path     string
	serve    func(net.Conn)
	slots    chan struct{}
	running  sync.WaitGroup

	quit chan struct{} // closed by close

	mu    sync.Mutex // guards conns, and that none is added after quit
	conns map[net.Conn]struct{}
}

// Serve listens at the place of the interface's socket and passes each connection to
// serve, which closes it. An error says what is in the way.
func Serve(name string, serve func(net.Conn)) (*Socket, error) {
	path := filepath.Join(SocketDir, name+".sock")
	l, err := listen(path)
	if errors.Is(err, os.ErrPermission) || errors.Is(err, unix.EROFS) {
		return nil, fmt.Errorf("create %s (a systemd unit needs RuntimeDirectory=wireguard): %w", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	s := &Socket{
		listener: l, path: path, serve: serve,
		slots: make(chan struct{}, maxConns), quit: make(chan struct{}), conns: make(map[net.Conn]struct{}),
	}
	s.running.Go(s.accept)
	return s, nil
}

// listen makes the socket in a directory that only its owner can enter and moves it
// to its place, 0600: the umask belongs to the whole process and must not be touched.
func listen(path string) (*net.UnixListener, error) {
	if err := os.MkdirAll(SocketDir, 0o755); err != nil {
		return nil, err
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	private, err := os.MkdirTemp(SocketDir, ".sallyport-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(private) // empty by then
	tmp := filepath.Join(private, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: tmp, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // it would remove tmp; close removes path
	if err = os.Chmod(tmp, 0o600); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return nil, oneline.Join(err, l.Close())
	}
	return l, nil
}

// removeStale removes the socket of a process that was killed. A socket that answers
// belongs to a live device, perhaps in another network namespace.
func removeStale(path string) error {
	c, err := net.DialTimeout("unix", path, time.Second) //nolint:noctx // local, and bounded
	if err == nil {
		c.Close()
		return errors.New("another process serves a device of this name: stop it, or choose another [wireguard] interface")
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (s *Socket) accept() {
	for {
		s.slots <- struct{}{}
		if c, err := s.listener.Accept(); err == nil {
			s.start(c)
			continue
		}
		<-s.slots
		select {
		case <-s.quit:
			return
		case <-time.After(100 * time.Millisecond): // out of descriptors: do not spin
		}
	}
}

// start serves c in its slot. After quit, c is closed and handled at once, so that
// the slot comes back the same way.
func (s *Socket) start(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.quit:
		c.Close()
	default:
	}
	s.conns[c] = struct{}{}
	_ = c.SetDeadline(time.Now().Add(connLife)) // fails only if c is closed
	s.running.Go(func() { s.handle(c) })
}

func (s *Socket) handle(c net.Conn) {
	s.serve(c)
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	<-s.slots
}

// InPlace reports whether the socket is still in its place.
func (s *Socket) InPlace() bool {
	_, err := os.Lstat(s.path)
	return !errors.Is(err, fs.ErrNotExist)
}

// Close ends every connection, waits for its handler, and removes the socket.
func (s *Socket) Close() error {
	s.mu.Lock()
	close(s.quit)
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	err := s.listener.Close()
	if removed := os.Remove(s.path); !errors.Is(removed, fs.ErrNotExist) {
		err = oneline.Join(err, removed)
	}
	s.running.Wait()
	return err
}
