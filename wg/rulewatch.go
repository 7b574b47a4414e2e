package wg

import (
	"context"
	"errors"
	"fmt"
	"slices"

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
	name := tableName(t.o.Interface)
	err = hear(ctx, socket, changed, func(n netlink.Message) bool {
		// Tables, chains and rules all have the table's name as their first attribute.
		return attributesOf(n.Data).text(unix.NFTA_TABLE_NAME) == name
	})
	if err != nil {
		return fmt.Errorf("wg: changes of the packet filter: %w", err)
	}
	return nil
}

// hear calls changed for each bunch of the kernel's notifications of which one is ours,
// and where some were lost, until ctx ends.
func hear(ctx context.Context, socket *netlink.Conn, changed func(), ours func(netlink.Message) bool) error {
	for {
		news, err := socket.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS): // more than there was room for
			changed()
		case err != nil:
			return err
		case slices.ContainsFunc(news, ours):
			changed()
		}
	}
}
