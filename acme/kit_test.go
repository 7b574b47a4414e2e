package acme

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"
	"github.com/miekg/dns"

	"sallyport/internal/gwtest/pebble"
)

// fileStore is a Store in a directory: what is put survives a kill. Its locks are
// leases in memory, as one process of a test has it alone.
type fileStore struct {
	dir string
	// before is called before each Put; its error is Put's. after is called after
	// each. Both may be nil.
	before func(key string) error
	after  func(key string)

	mu    sync.Mutex
	locks map[string]lock
}

type lock struct {
	owner string
	ends  time.Time
}

var _ Store = (*fileStore)(nil)

func newFileStore(t testing.TB) *fileStore {
	return &fileStore{dir: t.TempDir(), locks: map[string]lock{}}
}

func (s *fileStore) file(key string) string {
	return filepath.Join(s.dir, strings.ReplaceAll(key, "/", "!"))
}

func (s *fileStore) Get(_ context.Context, key string) ([]byte, error) {
	return os.ReadFile(s.file(key))
}

func (s *fileStore) Put(_ context.Context, key string, value []byte) error {
	if len(key) > 250 || strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789-._/") != "" {
		return fmt.Errorf("key %q breaks the contract", key)
	}
	if s.before != nil {
		if err := s.before(key); err != nil {
			return err
		}
	}
	tmp, err := os.CreateTemp(s.dir, "~")
	if err != nil {
		return err
	}
	_, err = tmp.Write(value)
	err = errors.Join(err, tmp.Close(), os.Rename(tmp.Name(), s.file(key)))
	if s.after != nil && err == nil {
		s.after(key)
	}
	return err
}

func (s *fileStore) Delete(_ context.Context, key string) error {
	if err := os.Remove(s.file(key)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (s *fileStore) List(_ context.Context, prefix string) (map[string][]byte, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for _, e := range entries {
		key := strings.ReplaceAll(e.Name(), "!", "/")
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		if all[key], err = os.ReadFile(filepath.Join(s.dir, e.Name())); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (s *fileStore) Lock(_ context.Context, name, owner string, ttl time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l, ok := s.locks[name]; ok && l.owner != owner && time.Now().Before(l.ends) {
		return false, nil
	}
	s.locks[name] = lock{owner, time.Now().Add(ttl)}
	return true, nil
}

func (s *fileStore) Unlock(_ context.Context, name, owner string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.locks[name].owner == owner {
		delete(s.locks, name)
	}
	return nil
}

// zone is a DNS server that knows 127.0.0.1 for every name, and solves dns-01.
type zone struct {
	addr string

	mu   sync.Mutex
	txts map[string][]string // several at one name: of *.z and z
	deaf bool                // no record is published
}

func newZone(t testing.TB) *zone {
	t.Helper()
	z := &zone{txts: map[string][]string{}}
	packets, streams := listenBoth(t) // Pebble falls back to TCP
	z.addr = packets.LocalAddr().String()
	for _, s := range []*dns.Server{{PacketConn: packets, Handler: z}, {Listener: streams, Handler: z}} {
		started, ended := make(chan struct{}), make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() {
			defer close(ended)
			_ = s.ActivateAndServe()
		}()
		<-started
		t.Cleanup(func() {
			_ = s.Shutdown()
			<-ended
		})
	}
	return z
}

// listenBoth takes a port that is free for UDP and TCP alike.
func listenBoth(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	var last error
	for range 20 {
		packets, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		streams, err := net.Listen("tcp", packets.LocalAddr().String())
		if err == nil {
			return packets, streams
		}
		packets.Close()
		last = err
	}
	t.Fatal(last)
	return nil, nil
}

func (z *zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	z.mu.Lock()
	defer z.mu.Unlock()
	a := new(dns.Msg).SetReply(q)
	head := dns.RR_Header{Name: q.Question[0].Name, Rrtype: q.Question[0].Qtype, Class: dns.ClassINET}
	switch q.Question[0].Qtype {
	case dns.TypeTXT:
		for _, txt := range z.txts[strings.ToLower(q.Question[0].Name)] {
			a.Answer = append(a.Answer, &dns.TXT{Hdr: head, Txt: []string{txt}})
		}
	case dns.TypeA:
		a.Answer = append(a.Answer, &dns.A{Hdr: head, A: net.IPv4(127, 0, 0, 1)})
	}
	_ = w.WriteMsg(a)
}

func (z *zone) Present(_ context.Context, c acme.Challenge) error {
	z.mu.Lock()
	defer z.mu.Unlock()
	if !z.deaf {
		name := c.DNS01TXTRecordName() + "."
		z.txts[name] = append(z.txts[name], c.DNS01KeyAuthorization())
	}
	return nil
}

func (z *zone) setDeaf(deaf bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.deaf = deaf
}

func (z *zone) CleanUp(_ context.Context, c acme.Challenge) error {
	z.mu.Lock()
	defer z.mu.Unlock()
	name, value := c.DNS01TXTRecordName()+".", c.DNS01KeyAuthorization()
	kept := z.txts[name][:0]
	for _, v := range z.txts[name] {
		if v != value {
			kept = append(kept, v)
		}
	}
	z.txts[name] = kept
	return nil
}

// left are the records that nobody has taken back.
func (z *zone) left() (n int) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for v := range maps.Values(z.txts) {
		n += len(v)
	}
	return n
}

// told collects what OnCertificate is called with.
type told struct{ all chan *tls.Certificate }

func newTold() told { return told{make(chan *tls.Certificate, 100)} }

func (c told) on(_ string, _ []string, cert *tls.Certificate) { c.all <- cert }

func (c told) next(t testing.TB) *tls.Certificate {
	t.Helper()
	select {
	case cert := <-c.all:
		return cert
	case <-time.After(60 * time.Second):
		t.Fatal("no certificate came")
		return nil
	}
}

// logged keeps the lines from level info on.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// world is a Pebble, a DNS server that it asks, and options for a Manager that uses
// both.
type world struct {
	*pebble.Server
	zone *zone
	told told
	log  *logged
	opts Options
}

func newWorld(t testing.TB, o pebble.Options, domains ...Domain) *world {
	t.Helper()
	w := &world{zone: newZone(t), told: newTold(), log: &logged{}}
	o.DNS = w.zone.addr
	w.Server = pebble.Start(t, o)
	w.opts = Options{
		Domains: domains, CA: Authority{Directory: w.Directory, Roots: w.Roots}, DNS01: w.zone,
		Store: newFileStore(t), OnCertificate: w.told.on, Log: w.log.logger(), Check: 50 * time.Millisecond,
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(w.log)
		}
	})
	return w
}

// run starts a Manager, which ends with the test or when stop is called.
func run(t testing.TB, o Options) (m *Manager, stop func()) {
	t.Helper()
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return m, stop
}

// await polls until ok; what is awaited is told by the log.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("awaited in vain: %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
