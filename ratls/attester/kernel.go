package attester

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-configfs-tsm/configfs/configfsi"
	"github.com/google/go-configfs-tsm/report"

	"sallyport/internal/oneline"
	"sallyport/internal/regularfile"
	"sallyport/ratls/attestation"
	"sallyport/ratls/tdx"
)

// The kernel (6.7 and later) makes quotes through files
// (Documentation/ABI/testing/configfs-tsm-report): the program makes a directory, writes
// report data to its inblob, reads the quote from its outblob, and removes the directory;
// generation shows whether another process wrote meanwhile. go-configfs-tsm does that.
// go-tdx-guest/client, which uses it, also registers a flag of the process, logs to stdout,
// and leaves a directory behind at each call; its fallback, the ioctl on /dev/tdx_guest, was
// never in mainline Linux.

const (
	tsmRoot     = configfsi.TsmPrefix + "/report"
	tdxProvider = "tdx_guest"

	// The kernel has one buffer for quotes, and waits 30 s for the host to fill it. After
	// a signal ended that wait, the buffer stays busy until the host has filled it.
	busyTries = 30
	busyPause = time.Second
)

// kernel asks Linux. Its evidence has no event log: it is useful only to verifiers that know
// the values of RTMR0 to RTMR3.
type kernel struct {
	root string
	open func(ctx context.Context, root string) configfsi.Client // openFiles, but in tests
	turn chan struct{}                                           // one quote at a time: the others would only find the buffer busy
}

var _ Attester = kernel{}

func newKernel(root string) kernel {
	return kernel{cmp.Or(root, tsmRoot), openFiles, make(chan struct{}, 1)}
}

func (k kernel) String() string { return "kernel, " + k.root }

// Attest waits for its turn until ctx ends, and then for the kernel, for up to 30 s.
func (k kernel) Attest(ctx context.Context, reportData [64]byte) (attestation.QuoteAnswer, error) {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return attestation.QuoteAnswer{}, fmt.Errorf("wait for a quote: %w", context.Cause(ctx))
	}
	e, err := k.quote(ctx, reportData)
	if err != nil {
		return attestation.QuoteAnswer{}, fmt.Errorf("quote from the %s: %w", k, err)
	}
	return e, nil
}

func (k kernel) quote(ctx context.Context, reportData [64]byte) (attestation.QuoteAnswer, error) {
	r, err := report.Get(k.open(ctx, k.root), &report.Request{InBlob: reportData[:]})
	if err != nil {
		return attestation.QuoteAnswer{}, err
	}
	if provider := strings.TrimSpace(r.Provider); provider != tdxProvider {
		return attestation.QuoteAnswer{}, fmt.Errorf("the report is of %.40q, want %q", provider, tdxProvider)
	}
	return complete(attestation.QuoteAnswer{Quote: r.OutBlob}, reportData)
}

// provider returns the name of the provider of reports: tdx_guest, sev_guest, …
func (k kernel) provider(ctx context.Context) (name string, err error) {
	r, err := report.CreateOpenReport(k.open(ctx, k.root))
	if err != nil {
		return "", err
	}
	b, err := r.ReadOption("provider")
	if err := oneline.Join(err, r.Destroy()); err != nil {
		return "", err
	}
	return strings.TrimSpace(string(b)), nil
}

// files are the kernel's files below root. go-configfs-tsm calls them by their usual paths.
type files struct {
	ctx  context.Context // of one quote
	root string
	read func(name string) ([]byte, error) // readFile, but in tests
}

func openFiles(ctx context.Context, root string) configfsi.Client {
	return files{ctx, root, readFile}
}

func (f files) real(name string) string {
	return filepath.Join(f.root, strings.TrimPrefix(name, tsmRoot))
}

// MkdirTemp makes a report.
func (f files) MkdirTemp(dir, pattern string) (string, error) {
	made, err := os.MkdirTemp(f.real(dir), pattern)
	if err != nil {
		return "", err
	}
	return path.Join(dir, filepath.Base(made)), nil
}

// ReadFile reads up to tdx.MaxQuote bytes; all other files are a few bytes long.
func (f files) ReadFile(name string) ([]byte, error) {
	for try := 1; ; try++ {
		b, err := f.read(f.real(name))
		if !errors.Is(err, syscall.EBUSY) || try == busyTries {
			return b, err
		}
		select {
		case <-f.ctx.Done():
			return nil, context.Cause(f.ctx)
		case <-time.After(busyPause):
		}
	}
}

func readFile(name string) ([]byte, error) {
	b, _, err := regularfile.Read(name, tdx.MaxQuote)
	return b, err
}

// WriteFile writes to a file of the kernel. It does not make files.
func (f files) WriteFile(name string, contents []byte) error {
	out, err := os.OpenFile(f.real(name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = out.Write(contents)
	return oneline.Join(err, out.Close())
}

// RemoveAll removes a report. The kernel removes its files with the directory.
func (f files) RemoveAll(name string) error { return os.Remove(f.real(name)) }

// ReadDir lists reports.
func (f files) ReadDir(name string) ([]os.DirEntry, error) { return os.ReadDir(f.real(name)) }
