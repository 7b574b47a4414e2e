package attester

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"sallyport/ratls/attestation"
	"sallyport/ratls/tdx"
)

// An Attester has the hardware say what this machine is. Both sources of this package
// may be used concurrently.
type Attester interface {
	// Attest quotes reportData: what the evidence is to be bound to, such as
	// attestation.ReportData of a public key.
	Attest(ctx context.Context, reportData [64]byte) (Evidence, error)

	// String names the source, for logs.
	String() string
}

// Evidence is what the hardware and the log of this machine say. Attestation has all
// of it in the form for certificates; the others are what dstack publishes beside a
// key.
type Evidence struct {
	ReportData  [64]byte // what was asked for; it is in the quote
	Quote       []byte   // raw DCAP quote
	EventLog    string   // JSON, as attestation.ParseEventLog reads it; "" if the source has none
	VMConfig    string   // JSON; "" if the source has none
	Attestation []byte   // dstack's VersionedAttestation; not stripped
}

// ErrNoSource says that nothing on this machine can make a quote.
var ErrNoSource = errors.New("no quote source")

// Options say where to look. The zero value is the usual places.
type Options struct {
	// DstackSocket is the dstack guest agent's; "" is /var/run/dstack.sock, else
	// /var/run/dstack/dstack.sock.
	DstackSocket string

	// TSMRoot is the directory of the kernel's reports; "" is
	// /sys/kernel/config/tsm/report.
	TSMRoot string
}

// Find returns the source of this machine: the guest agent if its socket is there,
// because its evidence tells more, else the kernel. An agent that is there and does
// not answer is an error of Attest, and no reason to publish less. The error wraps
// ErrNoSource, with what was looked for, or tells what is there and does not work.
func Find(ctx context.Context, o Options) (Attester, error) {
	return find(ctx, o, newKernel(o.TSMRoot))
}

func find(ctx context.Context, o Options, k kernel) (Attester, error) {
	sockets := []string{o.DstackSocket}
	if o.DstackSocket == "" {
		sockets = []string{"/var/run/dstack.sock", "/var/run/dstack/dstack.sock"}
	}
	var missing []string
	for _, name := range sockets {
		switch there, err := isThere(name, fs.ModeSocket); {
		case err != nil:
			return nil, fmt.Errorf("the guest agent's socket: %w", err)
		case there:
			return newDstack(name), nil
		}
		missing = append(missing, name)
	}
	there, err := isThere(k.root, fs.ModeDir)
	if err != nil {
		return nil, fmt.Errorf("the kernel's reports: %w", err)
	}
	if there {
		provider, err := k.provider(ctx)
		if err != nil {
			return nil, fmt.Errorf("the kernel's reports in %s: %w", k.root, err)
		}
		if provider == tdxProvider {
			return k, nil
		}
		return nil, fmt.Errorf("%w: the reports in %s are of %.40q, which is not supported yet", ErrNoSource, k.root, provider)
	}
	missing = append(missing, k.root)
	return nil, fmt.Errorf("%w: this machine has no %s", ErrNoSource, strings.Join(missing, ", no "))
}

// isThere reports whether name is there and of this type.
func isThere(name string, want fs.FileMode) (bool, error) {
	st, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && st.Mode().Type() == want, err
}

// complete checks that the quote in e is about e.ReportData, and adds an attestation
// where the source gave none.
func (e Evidence) complete() (Evidence, error) {
	if err := quotes(e.Quote, e.ReportData); err != nil {
		return Evidence{}, err
	}
	if len(e.Attestation) > 0 {
		a, err := attestation.Parse(e.Attestation)
		if err == nil {
			err = quotes(a.Quote, e.ReportData)
		}
		if err != nil {
			return Evidence{}, fmt.Errorf("attestation: %w", err)
		}
		return e, nil
	}
	log := e.EventLog
	if log == "" {
		log = "[]"
	}
	a, err := attestation.Legacy(e.Quote, e.ReportData, []byte(log))
	if err != nil {
		return Evidence{}, err
	}
	a.Config = e.VMConfig
	e.Attestation, err = a.Marshal()
	if err != nil {
		return Evidence{}, err
	}
	return e, nil
}

// quotes says why quote is not one of reportData. Evidence that is bound to something
// else would be refused by whoever sees it: better here.
func quotes(quote []byte, reportData [64]byte) error {
	q, err := tdx.Parse(quote)
	if err != nil {
		return err
	}
	if q.TD.ReportData != reportData {
		return errors.New("the quote is of other report data than was asked for")
	}
	return nil
}
