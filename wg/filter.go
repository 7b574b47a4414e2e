package wg

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// filter is the conversation with the kernel's packet filter. google/nftables
// waits for an acknowledgement of each message that it has sent, but a kernel
// without nf_tables answers all of a batch by one error, so that it would wait for
// ever. Therefore whether nf_tables is there is asked first, by a question that has
// one answer, and each conversation has a deadline.
//
// The methods of nftables.Conn that collect messages are used as they are. Those
// that talk to the kernel are the ones below: with any other, the deadline of the
// conversation before has passed, and it fails at once.
type filter struct {
	*nftables.Conn
	socket   *netlink.Conn // Conn's
	inside   *namespace
	patience time.Duration
}

// kernelPatience is how long the kernel may take for one answer. It answers in
// microseconds, unless somebody holds one of its locks.
const kernelPatience = 5 * time.Second

func openFilter(inside *namespace) (*filter, error) {
	f := &filter{inside: inside, patience: kernelPatience}
	if err := f.dial(); err != nil {
		return nil, err
	}
	if err := f.ask(); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

func (f *filter) dial() error {
	return f.inside.do(func() (err error) {
		f.Conn, err = nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(s *netlink.Conn) error {
			f.socket = s
			return s.SetDeadline(time.Now())
		}))
		return err
	})
}

// ask finds out whether the kernel has tables for IPv4 and IPv6 together.
func (f *filter) ask() error {
	return f.within(func() error {
		_, err := f.ListTablesOfFamily(nftables.TableFamilyINet)
		return err
	})
}

// Flush sends what was collected, as one transaction.
func (f *filter) Flush() error { return f.within(f.Conn.Flush) }

// GetRules lists the rules of a chain.
func (f *filter) GetRules(t *nftables.Table, c *nftables.Chain) (rules []*nftables.Rule, err error) {
	err = f.within(func() error {
		rules, err = f.Conn.GetRules(t, c)
		return err
	})
	return rules, err
}

// within is one conversation. What comes after the deadline must not be taken for
// the answer to the next question: the socket is changed for another.
func (f *filter) within(talk func() error) error {
	if err := f.socket.SetDeadline(time.Now().Add(f.patience)); err != nil {
		return err
	}
	err := talk()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.Join(fmt.Errorf("the kernel did not answer within %s: %w", f.patience, err), f.close(), f.dial())
	}
	return errors.Join(err, f.socket.SetDeadline(time.Now()))
}

func (f *filter) close() error { return f.CloseLasting() }

// noFilter says what is missing.
func noFilter(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: no packet filter to isolate the tunnel with: CAP_NET_ADMIN is missing; mode netstack isolates without: %w", errNotPossible, err)
	default:
		return fmt.Errorf("%w: no packet filter to isolate the tunnel with: the kernel has no nf_tables (modprobe nf_tables; CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET); mode netstack isolates without: %w", errNotPossible, err)
	}
}
