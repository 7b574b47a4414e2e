package wg

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The isolation of a gateway's interface: its table of nf_tables (rules.go says
// what is in it), written before the interface comes up and removed after it is
// gone. The rules know the interface by its index: a renamed one stays isolated.
//
// Others change the host's tables too: "flush ruleset" is the first line of many a
// firewall's file. Where the kernel can, the table belongs to this process and
// nobody else changes it.

// tableName is the name of the interface's table.
func tableName(iface string) string { return "sallyport-" + iface }

func (t *tunnel) isolate() error {
	if t.o.Guest {
		return nil
	}
	if err := t.writeRules(); err != nil {
		return err
	}
	t.filtered = true
	return nil
}

// guard writes the rules again if somebody removed them.
func (t *tunnel) guard() (restored bool, err error) {
	if t.isolated() {
		return false, nil
	}
	return true, t.writeRules()
}

// isolated tells whether every rule is there. What cannot be read counts as
// missing: writing it again does no harm.
func (t *tunnel) isolated() bool { return t.o.Guest || t.nft.holds(t.table()) }

// table is what isolates the interface that is there now.
func (t *tunnel) table() table {
	return table{
		name: tableName(t.o.Interface), flags: t.flags,
		chains: rules(t.link.Attrs().Index, t.o.Address, os.Geteuid()),
	}
}

// writeRules replaces the table, also what an earlier run left behind. Whether it
// can be owned is found out at the first time.
func (t *tunnel) writeRules() error {
	err := t.nft.replace(t.table())
	if t.flags != 0 && unknownFlags(err) {
		t.flags = 0
		err = t.nft.replace(t.table())
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM) && t.nft.isOwned(tableName(t.o.Interface)):
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
	if err := t.nft.remove(name); err != nil {
		return fmt.Errorf("remove nftables table %s: %w", name, err)
	}
	return nil
}
