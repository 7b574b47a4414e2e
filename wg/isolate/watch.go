package isolate

import (
	"context"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"sallyport/wg/kernel"
	"sallyport/wg/nft"
)

// Watch calls changed after each change of the table by anybody, until ctx ends.
// It may be called while other methods run.
func (i *Isolation) Watch(ctx context.Context, changed func()) error {
	name := TableName(i.o.Interface)
	err := kernel.Hear(ctx, i.inside, kernel.Subject{
		Protocol: unix.NETLINK_NETFILTER,
		Groups:   []uint{unix.NFNLGRP_NFTABLES},
		Concerns: func(m syscall.NetlinkMessage) bool { return nft.TableOf(m) == name },
	}, changed)
	if err != nil {
		return fmt.Errorf("listen for changes of the packet filter: %w", err)
	}
	return nil
}

// Owned reports whether nobody else can change the table, so that Watch is not needed.
func (i *Isolation) Owned() bool { return !i.shared }
