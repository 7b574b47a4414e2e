package registry

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/vm"
	"sallyport/registry/record"
	"sallyport/registry/store"
)

// device is a WireGuard device in memory, as strict as the real one: an address has one
// holder.
type device struct {
	mu     sync.Mutex
	peers  map[vm.WGKey]netip.Addr
	owners map[netip.Addr]vm.WGKey
	calls  int
	before func(call string) error // nil, or asked before each call
	after  func(call string) error // and after it was done
	dial   func(context.Context, netip.AddrPort) (net.Conn, error)
}

func newDevice() *device {
	return &device{peers: make(map[vm.WGKey]netip.Addr), owners: make(map[netip.Addr]vm.WGKey)}
}

func (d *device) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	if d.dial == nil {
		return nil, errors.New("unreachable")
	}
	return d.dial(ctx, to)
}

func (d *device) SetPeer(_ context.Context, key vm.WGKey, address netip.Addr) error {
	return d.do("set peer", func() error {
		if k, taken := d.owners[address]; taken && k != key {
			return fmt.Errorf("address %s belongs to peer %s", address, k)
		}
		delete(d.owners, d.peers[key])
		d.peers[key], d.owners[address] = address, key
		return nil
	})
}

func (d *device) RemovePeer(_ context.Context, key vm.WGKey) error {
	return d.do("remove peer", func() error {
		delete(d.owners, d.peers[key])
		delete(d.peers, key)
		return nil
	})
}

func (d *device) RemovePeersExcept(_ context.Context, keep []vm.WGKey) error {
	return d.do("keep peers", func() error {
		for k, a := range d.peers {
			if !slices.Contains(keep, k) {
				delete(d.owners, a)
				delete(d.peers, k)
			}
		}
		return nil
	})
}

func (d *device) do(call string, change func() error) error {
	if d.before != nil {
		if err := d.before(call); err != nil {
			return err
		}
	}
	d.mu.Lock()
	d.calls++
	err := change()
	d.mu.Unlock()
	if err == nil && d.after != nil {
		err = d.after(call)
	}
	return err
}

func (d *device) all() map[vm.WGKey]netip.Addr {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.peers)
}

// board is what the data plane sees.
type board struct {
	mu     sync.Mutex
	shown  map[vm.InstanceID]vm.Spec
	calls  int
	before func(call string)
}

func newBoard() *board { return &board{shown: make(map[vm.InstanceID]vm.Spec)} }

func (b *board) Upsert(specs ...vm.Spec) {
	if b.before != nil {
		b.before("upsert")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	for _, s := range specs {
		b.shown[s.ID] = s
	}
}

func (b *board) Remove(ids ...vm.InstanceID) {
	if b.before != nil {
		b.before("remove")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	for _, id := range ids {
		delete(b.shown, id)
	}
}

func (b *board) get(id vm.InstanceID) (vm.Spec, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, ok := b.shown[id]
	return s, ok
}

func (b *board) all() map[vm.InstanceID]vm.Spec {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.shown)
}

// rig is a registry with its surroundings, which outlive it.
type rig struct {
	*Registry
	opts  Options
	store *store.Bolt
	dev   *device
	board *board
	path  string
}

// newRig opens a registry on a new store; change, if not nil, alters its options.
func newRig(t testing.TB, change func(*Options)) *rig {
	t.Helper()
	g := &rig{path: filepath.Join(t.TempDir(), "registry.db")}
	g.opts = Options{
		OwnKey:  key("gateway"),
		Network: netip.MustParsePrefix("10.8.0.1/16"),
		Pool:    netip.MustParsePrefix("10.8.0.0/18"),

		ChangeInterval: -1, PoolShare: 100, // tests of shares have their own
	}
	if change != nil {
		change(&g.opts)
	}
	g.open(t)
	t.Cleanup(func() { g.store.Close() })
	return g
}

// open starts the gateway again: an empty device and data plane, the same file.
func (g *rig) open(t testing.TB) {
	t.Helper()
	var err error
	if g.store, err = store.OpenBolt(g.path); err != nil {
		t.Fatal(err)
	}
	g.opts.Store = g.store
	g.dev, g.board = newDevice(), newBoard()
	if given, ok := g.opts.Tunnel.(*device); ok {
		g.dev.dial = given.dial
	}
	g.opts.Tunnel, g.opts.Publisher = g.dev, g.board
	if g.Registry, err = Open(t.Context(), g.opts); err != nil {
		g.store.Close()
		t.Fatal(err)
	}
}

func (g *rig) restart(t testing.TB) {
	t.Helper()
	if err := g.store.Close(); err != nil {
		t.Fatal(err)
	}
	g.open(t)
}

func (g *rig) register(t testing.TB, q Request) Grant {
	t.Helper()
	grant, err := g.Register(t.Context(), q)
	if err != nil {
		t.Fatalf("registering %s: %v", q.Instance, err)
	}
	return grant
}

func (g *rig) refuses(t testing.TB, q Request, want error) {
	t.Helper()
	if grant, err := g.Register(t.Context(), q); !errors.Is(err, want) || grant != (Grant{}) {
		t.Errorf("registering %s of %s: %+v, %v, want %v", q.Instance, q.App, grant, err, want)
	}
}

// commit changes the store behind the registry's back.
func (g *rig) commit(t testing.TB, changes ...store.Change) {
	t.Helper()
	if _, err := g.store.Commit(t.Context(), store.Txn{Then: changes}); err != nil {
		t.Fatal(err)
	}
}

func put(key, value string) store.Change { return store.Change{Key: key, Value: []byte(value)} }

func pfx(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func wait(d time.Duration) { <-time.After(d) }

// consistent checks that store, tunnel and data plane agree, and that nothing has two
// holders.
func (g *rig) consistent(t testing.TB) {
	t.Helper()
	peers, shown := g.dev.all(), g.board.all()
	holders := make(map[netip.Addr]vm.WGKey)
	for k, a := range peers {
		if other, twice := holders[a]; twice {
			t.Errorf("address %s is %s's and %s's", a, k, other)
		}
		holders[a] = k
	}
	for id, s := range shown {
		there := holders[s.Addr] == s.Key
		if s.Refused != "" && g.table.unsettled(id) {
			continue // its peer may have to be removed yet
		}
		if there != (s.Refused == "") {
			t.Errorf("instance %s is published as refused %q; its tunnel is there: %v", id, s.Refused, there)
		}
	}
	pairs, _, err := g.store.List(t.Context(), record.Prefix)
	if err != nil {
		t.Fatal(err)
	}
	check, err := newTable(g.opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := check.restore(pairs, time.Now(), g.o.AddressRest); err != nil {
		t.Errorf("the store contradicts itself: %v", err)
	}
	for id, e := range check.instances {
		if s, ok := shown[id]; ok && !check.static[id] && (s.Addr != e.record.Addr || s.Key != e.record.Key) {
			t.Errorf("instance %s is published as %v, stored as %v", id, s, e.record)
		}
		if s, ok := shown[id]; ok && e.record.Refused != "" && s.Refused == "" {
			t.Errorf("instance %s is published, but stored as refused: %s", id, e.record.Refused)
		}
	}
	for id := range shown {
		if check.instances[id] == nil && !check.static[id] {
			t.Errorf("instance %s is published, but not stored", id)
		}
	}
	g.evidenceFits(t, check)
}

// evidenceFits checks that each record with a digest has its evidence, and that there is no other.
func (g *rig) evidenceFits(t testing.TB, check *table) {
	t.Helper()
	pairs, _, err := g.store.List(t.Context(), record.EvidencePrefix)
	if err != nil {
		t.Fatal(err)
	}
	kept := make(map[vm.InstanceID]record.Digest)
	for _, p := range pairs {
		kept[vm.InstanceID(strings.TrimPrefix(p.Key, record.EvidencePrefix))] = record.DigestOf(p.Value)
	}
	for id, e := range check.instances {
		if e.record.Evidence != kept[id] {
			t.Errorf("instance %s has evidence %x, stored is %x", id, e.record.Evidence, kept[id])
		}
		delete(kept, id)
	}
	if len(kept) > 0 {
		t.Errorf("evidence without an instance: %v", kept)
	}
}

func key(name string) vm.WGKey { return vm.WGKey(sha256.Sum256([]byte(name))) }

func compose(text string) vm.ComposeHash { return vm.ComposeHash(sha256.Sum256([]byte(text))) }

// request is a registration of an instance with an open policy, a key of its own, and no
// compose hash.
func request(app, instance string) Request {
	open := vm.OpenPolicy()
	return Request{
		App: vm.AppID(app), Instance: vm.InstanceID(instance), Key: key(instance), Policy: &open,
	}
}

func restricted(t testing.TB, ports ...uint16) vm.PortPolicy {
	t.Helper()
	var rules []vm.PortRule
	for _, p := range ports {
		rules = append(rules, vm.PortRule{Port: p})
	}
	policy, err := vm.NewPortPolicy(true, rules)
	if err != nil {
		t.Fatal(err)
	}
	return policy
}
