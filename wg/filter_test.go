package wg

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/google/nftables"
)

func TestPacketFilterThatDoesNotAnswerIsGivenUpAndAskedAnew(t *testing.T) {
	h := newHost(t)
	var f *filter
	h.do(func() {
		inside, err := currentNamespace()
		must(t, err)
		t.Cleanup(func() { must(t, inside.close()) })
		f, err = openFilter(inside)
		must(t, err)
		t.Cleanup(func() { must(t, f.close()) })
	})
	f.patience = 10 * time.Millisecond
	err := f.within(func() error {
		_, err := f.socket.Receive() // of an answer to nothing
		return err
	})
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	f.patience = kernelPatience
	f.AddTable(&nftables.Table{Name: "here", Family: nftables.TableFamilyINet})
	must(t, f.Flush())
	h.do(func() { // and not where this test's own thread is
		c, err := nftables.New()
		must(t, err)
		tables, err := c.ListTables()
		must(t, err)
		if len(tables) != 1 || tables[0].Name != "here" {
			t.Errorf("tables %v", tables)
		}
	})
}

func TestQuestionWithoutADeadlineFailsAtOnce(t *testing.T) {
	newHost(t).do(func() {
		inside, err := currentNamespace()
		must(t, err)
		defer func() { must(t, inside.close()) }()
		f, err := openFilter(inside)
		must(t, err)
		defer func() { must(t, f.close()) }()
		if _, err := f.ListChains(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}
