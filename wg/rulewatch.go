package wg

import (
	"context"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// watchRules calls changed after each change of the table by anybody, until ctx ends. A
// table that is owned is changed by nobody else, and needs no watching.
func (t *tunnel) watchRules(ctx context.Context, changed func()) error {
	if t.o.Guest || t.isolation.flags&owned != 0 {
		return nil
	}
	var socket *netlink.Conn
	err := t.inside.do(func() (err error) {
		if socket, err = netlink.Dial(unix.NETLINK_NETFILTER, nil); err != nil {
			return err
		}
		return socket.JoinGroup(unix.NFNLGRP_NFTABLES)
	})
	if socket != nil {
		defer func() { _ = socket.Close() }()
		defer context.AfterFunc(ctx, func() { _ = socket.Close() })()
	}
	if err != nil {
		return fmt.Errorf("wg: listen for changes of the packet filter: %w", err)
	}
	changed() // what came before was not heard
	return hear(ctx, socket, tableName(t.o.Interface), changed)
}

// hear reads what the kernel tells of tables.
func hear(ctx context.Context, socket *netlink.Conn, name string, changed func()) error {
	for {
		news, err := socket.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS): // more than there was room for
			changed()
			continue
		case err != nil:
			return fmt.Errorf("wg: changes of the packet filter: %w", err)
		}
		for _, n := range news {
			// Tables, chains and rules all have the table's name as their first attribute.
			if attributesOf(n.Data).text(unix.NFTA_TABLE_NAME) == name {
				changed()
				break
			}
		}
	}
}
