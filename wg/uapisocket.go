package wg

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// The UAPI socket is where wgctrl and wg(8) look for a device that is not the
// kernel's. Whoever can connect to it reads the private key: it is the owner's
// alone. The directory is fixed by all programs that use it and shared by the
// network namespaces of a host, so an interface name must be unique there.
const uapiDir = "/var/run/wireguard"

const (
	uapiConns = 16
	// uapiLife bounds one connection (wg(8) and wgctrl open one per request): the
	// device is locked while it answers, and a reader that stalls must not keep it so.
	uapiLife = 10 * time.Second
)

type uapiSocket struct {
	listener *net.UnixListener
	path     string
	serve    func(net.Conn)
	slots    chan struct{}
	running  sync.WaitGroup

	quit chan struct{} // closed by close

	mu    sync.Mutex // guards conns, and that none is added after quit
	conns map[net.Conn]struct{}
}

// serveUAPI listens at the interface's place and hands every connection to serve,
// which closes it.
func serveUAPI(name string, serve func(net.Conn)) (*uapiSocket, error) {
	path := filepath.Join(uapiDir, name+".sock")
	l, err := listenUAPI(path)
	if denied(err) {
		return nil, fmt.Errorf("%w: make %s (a systemd unit needs RuntimeDirectory=wireguard): %w", errNotPossible, path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", path, err)
	}
	s := &uapiSocket{
		listener: l, path: path, serve: serve,
		slots: make(chan struct{}, uapiConns), quit: make(chan struct{}), conns: make(map[net.Conn]struct{}),
	}
	s.running.Go(s.accept)
	return s, nil
}

// listenUAPI makes the socket in a directory that nobody else can enter and moves
// it to its place, 0600: the umask is the whole process's and must not be touched.
func listenUAPI(path string) (*net.UnixListener, error) {
	if err := os.MkdirAll(uapiDir, 0o755); err != nil {
		return nil, err
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	private, err := os.MkdirTemp(uapiDir, ".sallyport-")
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
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// removeStale removes the socket of a process that was killed. One that answers
// belongs to a live device, maybe in another network namespace.
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

func (s *uapiSocket) accept() {
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
func (s *uapiSocket) start(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.quit:
		c.Close()
	default:
	}
	s.conns[c] = struct{}{}
	_ = c.SetDeadline(time.Now().Add(uapiLife)) // fails only if c is closed
	s.running.Go(func() { s.handle(c) })
}

func (s *uapiSocket) handle(c net.Conn) {
	s.serve(c)
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	<-s.slots
}

// there reports whether the socket is still in its place.
func (s *uapiSocket) there() bool {
	_, err := os.Lstat(s.path)
	return !errors.Is(err, fs.ErrNotExist)
}

// close ends every connection, waits for its handler, and removes the socket.
func (s *uapiSocket) close() error {
	s.mu.Lock()
	close(s.quit)
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	err := s.listener.Close()
	if removed := os.Remove(s.path); !errors.Is(removed, fs.ErrNotExist) {
		err = errors.Join(err, removed)
	}
	s.running.Wait()
	return err
}
