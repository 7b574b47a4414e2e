package wg

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The isolation of a gateway's interface: its table of nf_tables (rules.go says
// what is in it), written before the interface comes up and removed after it is
// gone. The rules know the interface by its index: a renamed one stays isolated.
//
// Others change the host's tables too: "flush ruleset" is the first line of many a
// firewall's file. Where the kernel can, the table belongs to this process and
// nobody else changes it. Where it cannot, the kernel tells of changes
// (rulewatch.go), and gap.go makes good what was open meanwhile.

type isolation struct {
	nft     *filter
	diag    *kernelSocket // asks for sockets
	flags   tableFlags
	written bool // the table may be there

	cut        bool      // the interface is down, because the rules are missing and cannot be written
	sweepUntil time.Time // what a guest began in a gap may become a connection until then
}

func (i *isolation) open(inside *namespace) (err error) {
	if i.nft, err = openFilter(inside); err != nil {
		return noFilter(err)
	}
	i.diag, err = openKernelSocket(inside, unix.NETLINK_SOCK_DIAG)
	return err
}

func (i *isolation) close() error {
	var errs []error
	if i.nft != nil {
		errs = append(errs, i.nft.close())
	}
	if i.diag != nil {
		errs = append(errs, i.diag.close())
	}
	return errors.Join(errs...)
}

// tableName is the name of the interface's table.
func tableName(iface string) string { return "sallyport-" + iface }

// isolate writes the table. An interface that is up already may have been without:
// its gateway was killed.
func (t *tunnel) isolate() error {
	if t.o.Guest {
		return nil
	}
	if err := t.writeRules(); err != nil {
		return err
	}
	t.isolation.written = true
	if isUp(t.link) {
		t.gapEnds()
		t.sweep()
	}
	return nil
}

// isolated tells whether every rule is there. What cannot be read counts as
// missing: writing it again does no harm.
func (t *tunnel) isolated() bool { return t.o.Guest || t.isolation.nft.holds(t.table()) }

func (t *tunnel) notIsolated() error {
	return fmt.Errorf("interface %s is not isolated: nftables table %s was removed or changed", t.o.Interface, tableName(t.o.Interface))
}

// table is what isolates the interface that is there now.
func (t *tunnel) table() table {
	return table{
		name: tableName(t.o.Interface), flags: t.isolation.flags,
		chains: rules(t.link.Attrs().Index, t.o.Address, os.Geteuid()),
	}
}

// writeRules replaces the table, also what an earlier run left behind. Whether it
// can be owned is found out at the first time.
func (t *tunnel) writeRules() error {
	i := &t.isolation
	err := i.nft.replace(t.table())
	if !i.written && i.flags != 0 && unknownFlags(err) {
		i.flags = 0
		err = i.nft.replace(t.table())
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM) && i.nft.isOwned(tableName(t.o.Interface)):
		return fmt.Errorf("nftables table %s belongs to another process: stop the gateway that has interface %s, or choose another [wireguard] interface: %w",
			tableName(t.o.Interface), t.o.Interface, err)
	}
	return noFilter(fmt.Errorf("isolate interface %s: %w", t.o.Interface, err))
}

// unknownFlags reports whether err may be the kernel's answer to a table's flag
// that is newer than it.
func unknownFlags(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP)
}

// unisolate removes the table; the interface is gone by then.
func (t *tunnel) unisolate() error {
	name := tableName(t.o.Interface)
	if err := t.isolation.nft.remove(name); err != nil {
		return fmt.Errorf("remove nftables table %s: %w", name, err)
	}
	return nil
}
