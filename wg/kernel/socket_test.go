package kernel

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// A kernel without nf_tables answers a whole transaction by one error, and so does
// any kernel for a part that it lacks.
func TestRequestThatTheKernelDoesNotKnowFailsAtOnce(t *testing.T) {
	const noSuchPart = unix.NFNL_SUBSYS_COUNT - 1
	inside, err := Current()
	must(t, err)
	defer func() { must(t, inside.Close()) }()
	s, err := Open(inside, unix.NETLINK_NETFILTER)
	must(t, err)
	defer func() { must(t, s.Close()) }()
	begin := Message{Kind: unix.NFNL_MSG_BATCH_BEGIN, Data: []byte{0, 0, 0, noSuchPart}}
	end := Message{Kind: unix.NFNL_MSG_BATCH_END, Data: begin.Data}
	in := Message{Kind: noSuchPart << 8, Flags: unix.NLM_F_ACK, Data: make([]byte, 4)}
	if _, err := s.Ask(begin, in, in, in, end); err == nil {
		t.Error("a transaction of a part that the kernel lacks succeeded")
	}
	if _, err := s.Ask(Message{Kind: noSuchPart << 8, Flags: unix.NLM_F_DUMP, Data: make([]byte, 4)}); err == nil {
		t.Error("a part that the kernel lacks has a list")
	}
	if _, err := s.Ask(Message{Kind: unix.NLMSG_NOOP}); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("no answer: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
