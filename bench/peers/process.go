package peers

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"text/template"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/oneline"
)

// A Site is what every proxy of a comparison has in common.
type Site struct {
	Dir     string // for configurations, and what a proxy keeps; the caller removes it
	Gateway string // the gateway's binary
	Before  string // another one of it; "" is none
	CPU     int    // where a proxy runs; negative is anywhere
	Backend netip.AddrPort
	// Descriptors is the limit of a proxy that is Exposed; 0 is this process's.
	Descriptors int

	Certificate, Key, Bundle string // PEM files, for Domain; Bundle has both
	Domain                   string
}

// Passed is the server name of what is passed through to the backend.
func (s *Site) Passed() string { return fmt.Sprintf("app-%ds.%s", s.Backend.Port(), s.Domain) }

// Ended is the server name of what the proxy ends TLS for.
func (s *Site) Ended() string { return fmt.Sprintf("app-%d.%s", s.Backend.Port(), s.Domain) }

// A Process is a proxy that runs.
type Process struct {
	PID int
	// Passthrough and Terminated are where it listens; they may be one.
	Passthrough, Terminated netip.AddrPort

	dir    string
	output *output
	unread *os.File // its log, if nobody reads it
	ended  chan struct{}
}

const (
	startTime = 20 * time.Second // 100,000 instances are read in less
	stopTime  = 3 * time.Second
	// attempts to find ports: another program may take one before the proxy does.
	attempts = 3
)

// Start starts a proxy and waits until it accepts. The gateway begins with a copy of
// the directory store; "" is an empty one. ctx bounds the start alone.
func (s *Site) Start(ctx context.Context, f Form, store string) (*Process, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, errors.New("it does not listen in time"))
	defer cancel()
	var err error
	for range attempts {
		var p *Process
		if p, err = s.start(ctx, f, store); err == nil {
			return p, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("start %s: %w", f.Name, err)
}

func (s *Site) start(ctx context.Context, f Form, store string) (*Process, error) {
	p := &Process{output: &output{}, ended: make(chan struct{})}
	var err error
	if p.Passthrough, p.Terminated, err = freePorts(ctx); err != nil {
		return nil, err
	}
	if f.ours() {
		p.Terminated = p.Passthrough
	}
	if p.dir, err = os.MkdirTemp(s.Dir, f.Program+"-"); err != nil {
		return nil, err
	}
	file, err := s.configure(f, p)
	if err == nil && store != "" {
		err = os.CopyFS(filepath.Join(p.dir, "store"), os.DirFS(store))
	}
	if err == nil {
		err = p.launch(s, f, file)
	}
	if err != nil {
		return nil, oneline.Join(err, os.RemoveAll(p.dir))
	}
	if err := p.listening(ctx); err != nil {
		return nil, oneline.Join(err, p.Stop())
	}
	return p, nil
}

//go:embed *.cfg.tmpl
var templates embed.FS

// configure writes the proxy's configuration.
func (s *Site) configure(f Form, p *Process) (string, error) {
	t, err := template.ParseFS(templates, f.template())
	if err != nil {
		return "", err
	}
	file := filepath.Join(p.dir, f.Program+".cfg")
	w, err := os.Create(file)
	if err != nil {
		return "", err
	}
	err = t.Execute(w, struct {
		*Site
		Form                    Form
		Passthrough, Terminated netip.AddrPort
		Dir, Module             string
	}{s, f, p.Passthrough, p.Terminated, p.dir, streamModule()})
	return file, oneline.Join(err, w.Close())
}

// launch starts the program of f.
func (p *Process) launch(s *Site, f Form, file string) error {
	path := map[string]string{Gateway: s.Gateway, Before: s.Before}[f.Program]
	if !f.ours() {
		var err error
		if path, err = exec.LookPath(f.Program); err != nil {
			return err
		}
	}
	args := f.args(file, p.dir)
	if f.Exposed && s.Descriptors > 0 {
		args = append([]string{"-c", `ulimit -n "$0" && exec "$@"`, strconv.Itoa(s.Descriptors), path}, args...)
		path = "/bin/sh"
	}
	if f.Deaf {
		return p.execDeaf(s.CPU, path, args...)
	}
	return p.exec(s.CPU, path, args...)
}

// Launch starts any program as proxies are started, in the network namespace of the
// calling thread. Negative is any CPU.
func Launch(cpu int, path string, args ...string) (*Process, error) {
	p := &Process{output: &output{}, ended: make(chan struct{})}
	return p, p.exec(cpu, path, args...)
}

// exec starts a program on a CPU. It dies with this process, and what it starts is in
// a process group of its own, so that all of it can be ended.
func (p *Process) exec(cpu int, path string, args ...string) error {
	return p.begin(cpu, p.output, path, args...)
}

// execDeaf does so with its output in a pipe that nobody reads, and that is full soon.
func (p *Process) execDeaf(cpu int, path string, args ...string) error {
	unread, out, err := os.Pipe()
	if err != nil {
		return err
	}
	defer out.Close()
	if err := p.begin(cpu, out, path, args...); err != nil {
		return oneline.Join(err, unread.Close())
	}
	p.unread = unread // Stop closes it
	return nil
}

// begin starts a program from a thread that is there for nothing else until the program
// has ended: the signal of a parent's death comes when the thread that started it ends,
// and a goroutine may take its thread with it.
func (p *Process) begin(cpu int, out io.Writer, path string, args ...string) error {
	cmd := exec.Command(path, args...) //nolint:noctx // Stop ends it, politely at first
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	network, err := os.Open(threadNetwork)
	if err != nil {
		return err
	}
	defer network.Close()
	started := make(chan error)
	go func() {
		defer close(p.ended) // Stop waits for it
		runtime.LockOSThread()
		err := enter(network)
		if err == nil {
			err = onCPU(cpu, cmd.Start)
		}
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	p.PID = cmd.Process.Pid
	return nil
}

const threadNetwork = "/proc/thread-self/ns/net"

// enter moves the thread to a network namespace, if it is not there: that needs a
// capability.
func enter(network *os.File) error {
	there, err := network.Stat()
	if err != nil {
		return err
	}
	if here, err := os.Stat(threadNetwork); err == nil && os.SameFile(here, there) {
		return nil
	}
	return os.NewSyscallError("setns", unix.Setns(int(network.Fd()), unix.CLONE_NEWNET))
}

// Ended is closed when the program has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Output is the beginning of what the program has said.
func (p *Process) Output() string { return p.output.String() }

// onCPU calls f on a thread that is pinned to cpu: what it starts inherits that.
func onCPU(cpu int, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if cpu < 0 {
		return f()
	}
	var before, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("read the thread's CPUs: %w", err)
	}
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("pin to CPU %d: %w", cpu, err)
	}
	return oneline.Join(f(), unix.SchedSetaffinity(0, &before))
}

// listening waits until the proxy accepts connections on its ports.
func (p *Process) listening(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for _, at := range []netip.AddrPort{p.Passthrough, p.Terminated} {
		for !accepts(ctx, at) {
			select {
			case <-p.ended:
				return fmt.Errorf("it has ended: %s", p.output)
			case <-ctx.Done():
				return fmt.Errorf("%w: %s", context.Cause(ctx), p.output)
			case <-tick.C:
			}
		}
	}
	select {
	case <-p.ended: // somebody else has the port
		return fmt.Errorf("it has ended: %s", p.output)
	default:
		return nil
	}
}

func accepts(ctx context.Context, at netip.AddrPort) bool {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", at.String())
	if err == nil {
		c.Close()
	}
	return err == nil
}

// Stop ends the proxy with all that it has started, and waits for it.
func (p *Process) Stop() error {
	_ = syscall.Kill(p.PID, syscall.SIGTERM)
	t := time.NewTimer(stopTime)
	defer t.Stop()
	select {
	case <-p.ended:
	case <-t.C:
	}
	_ = syscall.Kill(-p.PID, syscall.SIGKILL) // the group: it may be empty
	<-p.ended
	if p.unread != nil {
		p.unread.Close()
	}
	if p.dir == "" {
		return nil
	}
	return os.RemoveAll(p.dir)
}

// freePorts finds two ports that nobody listens on.
func freePorts(ctx context.Context) (a, b netip.AddrPort, err error) {
	for _, at := range []*netip.AddrPort{&a, &b} {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return a, b, err
		}
		defer l.Close()
		*at = l.Addr().(*net.TCPAddr).AddrPort()
	}
	return a, b, nil
}

// output keeps the beginning of what a proxy says, for an error.
type output struct {
	mu   sync.Mutex
	text []byte
}

const maxOutput = 4 << 10

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, b[:min(len(b), maxOutput-len(o.text))]...)
	return len(b), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(strings.Fields(string(o.text)), " ")
}
