package tdx

import (
	"errors"
	"fmt"
)

// The attributes of a TD, in Report.TDAttributes, that this package knows (Intel TDX Module
// ABI, "ATTRIBUTES"; DCAP Quoting Library API, "TD attributes").
const (
	AttributeDebug         uint64 = 1 << 0  // the host reads and writes the TD's memory and registers
	AttributeSeptVEDisable uint64 = 1 << 28 // the host cannot raise #VE in the TD by unmapping its pages
	AttributeMigratable    uint64 = 1 << 29 // a service TD can move the TD to another host
	AttributePKS           uint64 = 1 << 30 // the TD uses supervisor protection keys
	AttributeKL            uint64 = 1 << 31 // the TD uses Key Locker
	AttributePerfmon       uint64 = 1 << 63 // the TD uses performance counters
)

// tudAttributes is the group "TD under debug". Each of its bits ends the secrecy of the TD:
// debugging, and several kinds of profiling by the host.
const tudAttributes uint64 = 0xff

// allowedAttributes may be set. All others are refused, also bits that are reserved in the
// specification of quotes and have a meaning now, such as 16 (ICSSD), 17 (SERVTD_EXT), 27
// (LASS) and 62 (TPA).
const allowedAttributes = AttributeSeptVEDisable | AttributePKS | AttributeKL | AttributePerfmon

// CheckAttributes returns an error if the TD is open to its host, or can become so: it is
// debugged or profiled, can be migrated, has a service TD, or runs on a TDX module that Intel
// did not sign.
func (r *Report) CheckAttributes() error {
	a := r.TDAttributes
	switch {
	case a&AttributeDebug != 0:
		return errors.New("TD attributes: debug (bit 0) is set: the host can read the TD's memory")
	case a&tudAttributes != 0:
		return fmt.Errorf("TD attributes: bits %#x of bits 1 to 7 are set: the host can profile the TD", a&tudAttributes)
	case a&AttributeSeptVEDisable == 0:
		return errors.New("TD attributes: SEPT_VE_DISABLE (bit 28) is not set: the host can raise #VE anywhere in the TD")
	case a&AttributeMigratable != 0: // a quote of TDX 1.0 would not show to whom
		return errors.New("TD attributes: migratable (bit 29) is set: the TD can leave the attested host")
	case a&^allowedAttributes != 0:
		return fmt.Errorf("TD attributes: reserved bits %#x are set", a&^allowedAttributes)
	case r.MRServiceTD != [48]byte{}:
		return fmt.Errorf("MRSERVICETD: is %x, want zeros: a service TD has power over the TD", r.MRServiceTD)
	case r.MRSignerSeam != [48]byte{}:
		return fmt.Errorf("MRSIGNERSEAM: is %x, want zeros: the TDX module is not signed by Intel", r.MRSignerSeam)
	}
	return nil
}
