package isolate

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/oneline"
	"sallyport/wg/kernel"
	"sallyport/wg/nft"
)

// Options describe the interface to isolate.
type Options struct {
	Interface string       // its name, for the name of the table
	Address   netip.Prefix // the gateway's address in it, with the tunnel network
	// Flags are how the table is best owned. Where the kernel does not know them,
	// the table belongs to nobody.
	Flags nft.Flags
}

// An Isolation is the table of one interface. It must not be used concurrently,
// except for Watch.
type Isolation struct {
	o       Options
	inside  *kernel.Namespace
	nft     *nft.Filter
	diag    *kernel.Socket // lists and ends sockets
	shared  bool           // the table belongs to nobody
	written bool           // the table may exist

	sweepUntil time.Time // a connection that a guest began in a gap may complete until then
}

// ErrNoFilter reports that the kernel, or the process's privileges, do not allow
// an isolation.
var ErrNoFilter = errors.New("the tunnel cannot be isolated")

// Open opens the sockets to the kernel. It writes nothing yet.
func Open(inside *kernel.Namespace, o Options) (*Isolation, error) {
	i := &Isolation{o: o, inside: inside, shared: o.Flags == 0}
	var err error
	if i.nft, err = nft.Open(inside); err != nil {
		return nil, noFilter(err)
	}
	if i.diag, err = kernel.Open(inside, unix.NETLINK_SOCK_DIAG); err != nil {
		return nil, oneline.Join(err, i.nft.Close())
	}
	return i, nil
}

// Close closes the sockets. An owned table that is not persistent goes with them.
func (i *Isolation) Close() error { return oneline.Join(i.nft.Close(), i.diag.Close()) }

// TableName returns the name of an interface's table.
func TableName(iface string) string { return "sallyport-" + iface }

// Holds reports whether every rule is in force for the interface of this index. A
// table that cannot be read counts as missing: writing it again does no harm.
func (i *Isolation) Holds(index int) bool { return i.nft.Holds(i.table(index)) }

// table returns the table that isolates the interface of this index. The rules
// know the interface by its index: a renamed one stays isolated.
func (i *Isolation) table(index int) nft.Table {
	flags := i.o.Flags
	if i.shared {
		flags = 0
	}
	return nft.Table{Name: TableName(i.o.Interface), Flags: flags, Chains: rules(index, i.o.Address, os.Geteuid())}
}

// Write writes the table for the interface of this index, in place of what an
// earlier run left behind. The first call finds out whether the table can be owned.
func (i *Isolation) Write(index int) error {
	err := i.nft.Replace(i.table(index))
	if !i.written && !i.shared && nft.UnknownFlags(err) {
		i.shared = true
		err = i.nft.Replace(i.table(index))
	}
	name := TableName(i.o.Interface)
	switch {
	case err == nil:
		i.written = true
		return nil
	case errors.Is(err, unix.EPERM) && i.nft.IsOwned(name):
		return fmt.Errorf("nftables table %s belongs to another process: stop the gateway that has interface %s, or choose another [wireguard] interface: %w",
			name, i.o.Interface, err)
	}
	return noFilter(fmt.Errorf("isolate interface %s: %w", i.o.Interface, err))
}

// Remove removes the table if Write made it. The interface must be gone by then.
func (i *Isolation) Remove() error {
	if !i.written {
		return nil
	}
	name := TableName(i.o.Interface)
	if err := i.nft.Remove(name); err != nil {
		return fmt.Errorf("remove nftables table %s: %w", name, err)
	}
	return nil
}

// noFilter adds what is missing to err.
func noFilter(err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w: the process lacks CAP_NET_ADMIN; mode netstack works without it: %w", ErrNoFilter, err)
	}
	return fmt.Errorf("%w: the kernel lacks nf_tables (modprobe nf_tables; CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET); mode netstack works without it: %w", ErrNoFilter, err)
}
