package ratls

import (
	"errors"
	"fmt"

	"sallyport/ratls/attestation"
	"sallyport/ratls/tdx"
)

// ErrReportData refuses an attestation whose report data differs from that in its quote.
var ErrReportData = errors.New("report data of the attestation differs from that of its quote")

// ErrKeyBinding refuses a quote that was not made for the certificate's key. Without this
// rule the evidence of any CVM could be copied into any certificate.
var ErrKeyBinding = errors.New("report data of the quote does not bind the certificate's key")

// checkReportData checks that the quote has the report data of the attestation.
func checkReportData(td *tdx.Report, said [64]byte) error {
	if td.ReportData != said {
		return fmt.Errorf("%w: %x and %x", ErrReportData, said[:8], td.ReportData[:8])
	}
	return nil
}

// checkBinding checks that the quote was made for the key spki, a SubjectPublicKeyInfo in
// DER, and for the purpose of tag.
func checkBinding(td *tdx.Report, tag attestation.Tag, spki []byte) error {
	if want := attestation.ReportData(tag, spki); td.ReportData != want {
		return fmt.Errorf("%w: it is %x, want %x", ErrKeyBinding, td.ReportData[:8], want[:8])
	}
	return nil
}
