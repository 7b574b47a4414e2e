package ratls

import (
	"errors"
	"fmt"

	"sallyport/ratls/attestation"
	"sallyport/ratls/tdx"
)

// ErrReportData refuses an attestation that says its quote contains other report data
// than it does.
var ErrReportData = errors.New("report data of the attestation differs from that of its quote")

// ErrKeyBinding refuses a quote that was not made for the certificate's key: any
// machine's evidence could be copied into any certificate.
var ErrKeyBinding = errors.New("report data of the quote does not bind the certificate's key")

// checkReportData checks that the quote contains what the attestation says it does.
func checkReportData(td *tdx.Report, said [64]byte) error {
	if td.ReportData != said {
		return fmt.Errorf("%w: %x and %x", ErrReportData, said[:8], td.ReportData[:8])
	}
	return nil
}

// checkBinding checks that the quote was made for the key spki, a
// SubjectPublicKeyInfo in DER, and for what tag says that it serves.
func checkBinding(td *tdx.Report, tag attestation.Tag, spki []byte) error {
	if want := attestation.ReportData(tag, spki); td.ReportData != want {
		return fmt.Errorf("%w: it is %x, want %x", ErrKeyBinding, td.ReportData[:8], want[:8])
	}
	return nil
}
