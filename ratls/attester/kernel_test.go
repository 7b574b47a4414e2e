package attester

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"sallyport/ratls/attestation"
	"sallyport/ratls/tdx"
)

func TestKernelQuotes(t *testing.T) {
	l := newLinux(t)
	e, err := l.kernel().Attest(t.Context(), reportData)
	if err != nil {
		t.Fatal(err)
	}
	q, err := tdx.Parse(e.Quote)
	if err != nil || q.TD.ReportData != reportData || e.ReportData != reportData {
		t.Errorf("%x, %v", e.ReportData, err)
	}
	a, err := attestation.Parse(e.Attestation)
	if err != nil || !bytes.Equal(a.Quote, e.Quote) || len(a.Events)+len(a.RuntimeEvents) != 0 || e.EventLog+e.VMConfig != "" {
		t.Errorf("%+v, %v", a, err)
	}
	if left, err := os.ReadDir(l.root); err != nil || len(left) != 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

func TestKernelMakesOneQuoteAtATime(t *testing.T) {
	l := newLinux(t)
	k := l.kernel()
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Go(func() {
			if _, err := k.Attest(t.Context(), [64]byte{byte(i)}); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	if l.most != 1 {
		t.Errorf("%d at a time", l.most)
	}
}

func TestBusyBufferIsWaitedFor(t *testing.T) {
	l := newLinux(t)
	synctest.Test(t, func(t *testing.T) {
		l.busy = busyTries - 1
		if _, err := l.kernel().Attest(t.Context(), reportData); err != nil {
			t.Error(err)
		}
		l.busy = busyTries
		if _, err := l.kernel().Attest(t.Context(), reportData); err == nil || !strings.Contains(err.Error(), "busy") {
			t.Error(err)
		}
		l.busy = busyTries
		ctx, cancel := context.WithTimeout(t.Context(), busyPause*3/2)
		defer cancel()
		if _, err := l.kernel().Attest(ctx, reportData); err == nil || !strings.Contains(err.Error(), "deadline exceeded") {
			t.Error(err)
		}
		if left, err := os.ReadDir(l.root); err != nil || len(left) != 0 {
			t.Errorf("%v is left, %v", left, err)
		}
	})
}

func TestTurnIsWaitedForNoLongerThanTheContext(t *testing.T) {
	k := newLinux(t).kernel()
	k.turn <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.Attest(ctx, reportData); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestReportThatIsNoQuoteOfOursIsRefused(t *testing.T) {
	for name, x := range map[string]struct {
		change func(*linux)
		want   string
	}{
		"AMD":              {func(l *linux) { l.provider = "sev_guest\n" }, `of "sev_guest"`},
		"somebody meddles": {func(l *linux) { l.meddle = true }, "generation"},
		"other data": {func(l *linux) {
			quote := l.quote
			l.quote = func([]byte) []byte { return quote([]byte("other")) }
		}, "other report data than requested"},
		"no quote":   {func(l *linux) { l.quote = func([]byte) []byte { return nil } }, "quote"},
		"huge quote": {func(l *linux) { l.quote = func([]byte) []byte { return make([]byte, tdx.MaxQuote+1) } }, "too large"},
	} {
		l := newLinux(t)
		x.change(l)
		e, err := l.kernel().Attest(t.Context(), reportData)
		if err == nil || !strings.Contains(err.Error(), x.want) || e.Quote != nil || e.Attestation != nil {
			t.Errorf("%s: %v", name, err)
		}
		if left, err := os.ReadDir(l.root); err != nil || len(left) != 0 {
			t.Errorf("%s: %v is left, %v", name, left, err)
		}
	}
}

func TestNoFileIsMadeOutsideTheKernel(t *testing.T) {
	root := t.TempDir() // not the kernel's: its directories are empty
	if _, err := newKernel(root).Attest(t.Context(), reportData); err == nil {
		t.Error("made a quote of nothing")
	}
	f := files{t.Context(), root, readFile}
	if err := f.WriteFile(tsmRoot+"/entry/inblob", nil); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(root, "*", "*")); err != nil || len(left) != 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}
