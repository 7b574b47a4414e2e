package pccs

import (
	"encoding/hex"
	"fmt"
	"strings"

	"sallyport/ratls/tdx"
)

// Platform is a kind of platform for which Intel publishes collateral. Both values are in the
// certificate of the platform's provisioning certification key: see tdx.PCK.
type Platform struct {
	FMSPC [6]byte // family, model, stepping, platform type, custom SKU
	CA    tdx.CA  // the issuer of the certificate
}

// String returns text such as "90C06F000000-platform".
func (p Platform) String() string { return fmt.Sprintf("%X-%s", p.FMSPC[:], p.CA) }

// parsePlatform reads exactly the texts that String returns.
func parsePlatform(s string) (p Platform, ok bool) {
	number, _, _ := strings.Cut(s, "-")
	b, err := hex.DecodeString(number)
	if err != nil || len(b) != len(p.FMSPC) {
		return Platform{}, false
	}
	p.FMSPC = [6]byte(b)
	for _, p.CA = range []tdx.CA{tdx.Processor, tdx.Platform} {
		if p.String() == s {
			return p, true
		}
	}
	return Platform{}, false
}

// issuer returns the CA with this name in its certificate and in its CRL (Intel, "SGX
// PCK Certificate and Certificate Revocation List Profile").
func issuer(commonName string) (tdx.CA, error) {
	switch commonName {
	case "Intel SGX PCK Processor CA":
		return tdx.Processor, nil
	case "Intel SGX PCK Platform CA":
		return tdx.Platform, nil
	}
	return 0, fmt.Errorf("issuer %.80q is not a PCK authority of Intel", commonName)
}
