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

// An Attester makes evidence of the CVM that this program runs in. Both sources of this
// package may be used concurrently.
type Attester interface {
	// Attest returns evidence that is bound to reportData, such as
	// attestation.ReportData of a public key: a quote of it, and an attestation of
	// everything, not stripped. EventLog and VMConfig are empty if the source has none.
	Attest(ctx context.Context, reportData [64]byte) (attestation.QuoteAnswer, error)

	// String returns the name of the source, for logs.
	String() string
}

// ErrNoSource means that nothing here can make a quote.
var ErrNoSource = errors.New("no quote source")

// Options are the places to look in. The zero value is the usual places.
type Options struct {
	// DstackSocket is the socket of the dstack guest agent; "" is /var/run/dstack.sock,
	// or /var/run/dstack/dstack.sock if that is missing.
	DstackSocket string

	// TSMRoot is the directory of the kernel's reports; "" is
	// /sys/kernel/config/tsm/report.
	TSMRoot string
}

// Find returns the source of this CVM: the guest agent if its socket exists, because its
// evidence has an event log, else the kernel. If an agent exists and does not answer, Attest
// returns an error; it does not fall back to the kernel. The error of Find wraps ErrNoSource
// and names the missing files, or says why an existing source cannot be used.
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

// isThere reports whether name exists and has this type.
func isThere(name string, want fs.FileMode) (bool, error) {
	st, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && st.Mode().Type() == want, err
}

// complete checks that the quote in q is of reportData, and adds an attestation where the
// source gave none.
func complete(q attestation.QuoteAnswer, reportData [64]byte) (attestation.QuoteAnswer, error) {
	if err := checkReportData(q.Quote, reportData); err != nil {
		return attestation.QuoteAnswer{}, err
	}
	q.ReportData = reportData
	if len(q.Attestation) > 0 {
		a, err := attestation.Parse(q.Attestation)
		if err == nil {
			err = checkReportData(a.Quote, reportData)
		}
		if err != nil {
			return attestation.QuoteAnswer{}, fmt.Errorf("attestation: %w", err)
		}
		return q, nil
	}
	log := q.EventLog
	if log == "" {
		log = "[]"
	}
	a, err := attestation.Legacy(q.Quote, reportData, []byte(log))
	if err != nil {
		return attestation.QuoteAnswer{}, err
	}
	a.Config = q.VMConfig
	q.Attestation, err = a.Marshal()
	if err != nil {
		return attestation.QuoteAnswer{}, err
	}
	return q, nil
}

// checkReportData returns an error unless quote is of reportData: a verifier would refuse
// evidence that is bound to something else.
func checkReportData(quote []byte, reportData [64]byte) error {
	q, err := tdx.Parse(quote)
	if err != nil {
		return err
	}
	if q.TD.ReportData != reportData {
		return errors.New("the quote has other report data than requested")
	}
	return nil
}
