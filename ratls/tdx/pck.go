package tdx

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// A CA is one of Intel's two authorities for platforms. Each has its own revocation list.
type CA int

// The authorities: for platforms with one processor package, and for platforms with several,
// which register with Intel. TDX platforms usually have the second.
const (
	Processor CA = iota + 1
	Platform
)

// String returns the name of the CA in Intel's services.
func (c CA) String() string {
	switch c {
	case Processor:
		return "processor"
	case Platform:
		return "platform"
	}
	return "unknown"
}

// A PCK describes a platform. It is from the certificate of the platform's provisioning
// certification key (PCK). Byte strings are in the order of the certificate.
type PCK struct {
	Certificate   *x509.Certificate
	CA            CA
	PPID          [16]byte // the platform's own, lasting id
	FMSPC         [6]byte  // the kind of platform, which selects its TCB info
	PCEID         [2]byte
	PCESVN        uint16
	CPUSVN        [16]byte
	TCBComponents [16]byte // the versions that CPUSVN stands for
}

// The platform's facts are in the extension 1.2.840.113741.1.13.1, a SEQUENCE of
// pairs of an identifier below it and a value (Intel's PCK certificate profile).
// Unknown entries are ignored: Intel has added some before.
const (
	oidSGX = "\x2a\x86\x48\x86\xf8\x4d\x01\x0d\x01" // DER content of the identifier
	oidTCB = oidSGX + "\x02"

	entryPPID  = 1
	entryTCB   = 2
	entryPCEID = 3
	entryFMSPC = 4

	entryPCESVN = 17 // in the TCB, behind 16 components
	entryCPUSVN = 18
)

// ParsePCK reads the SGX extension of a platform's certificate. It verifies nothing: see
// [Quote.VerifyChain]. The CA is the issuer that the certificate names.
func ParsePCK(leaf *x509.Certificate) (*PCK, error) {
	p := &PCK{Certificate: leaf}
	switch leaf.Issuer.CommonName {
	case nameProcessor:
		p.CA = Processor
	case namePlatform:
		p.CA = Platform
	default:
		return nil, fmt.Errorf("PCK certificate: issuer %.64q is not a PCK CA", leaf.Issuer.CommonName)
	}
	id := asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1}
	at := slices.IndexFunc(leaf.Extensions, func(x pkix.Extension) bool { return x.Id.Equal(id) }) // no two: crypto/x509 refuses them
	if at < 0 {
		return nil, errors.New("PCK certificate: SGX extension is missing")
	}
	if err := p.parseExtension(leaf.Extensions[at].Value); err != nil {
		return nil, fmt.Errorf("PCK certificate: SGX extension: %w", err)
	}
	return p, nil
}

func (p *PCK) parseExtension(der []byte) error {
	var entries [4]cryptobyte.String
	if err := readEntries(der, oidSGX, entries[:]); err != nil {
		return err
	}
	for _, f := range []struct {
		name  string
		entry int
		to    []byte
	}{
		{"PPID", entryPPID, p.PPID[:]},
		{"PCE-ID", entryPCEID, p.PCEID[:]},
		{"FMSPC", entryFMSPC, p.FMSPC[:]},
	} {
		if err := readOctets(entries[f.entry-1], f.to); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	if err := p.parseTCB(entries[entryTCB-1]); err != nil {
		return fmt.Errorf("TCB: %w", err)
	}
	return nil
}

func (p *PCK) parseTCB(der cryptobyte.String) error {
	var entries [18]cryptobyte.String
	if err := readEntries(der, oidTCB, entries[:]); err != nil {
		return err
	}
	for i := range p.TCBComponents {
		if err := readInteger(entries[i], &p.TCBComponents[i]); err != nil {
			return fmt.Errorf("component %d: %w", i+1, err)
		}
	}
	if err := readInteger(entries[entryPCESVN-1], &p.PCESVN); err != nil {
		return fmt.Errorf("PCESVN: %w", err)
	}
	if err := readOctets(entries[entryCPUSVN-1], p.CPUSVN[:]); err != nil {
		return fmt.Errorf("CPUSVN: %w", err)
	}
	return nil
}

// readEntries reads pairs of an identifier prefix.n and a value, and stores the values, as
// parts of der, at n-1. A missing value stays nil. A repeated one is an error.
func readEntries(der cryptobyte.String, prefix string, values []cryptobyte.String) error {
	if der == nil {
		return errMissing
	}
	var list cryptobyte.String
	if !der.ReadASN1(&list, cbasn1.SEQUENCE) || !der.Empty() {
		return errors.New("is not a single DER SEQUENCE")
	}
	for !list.Empty() {
		var pair, id cryptobyte.String
		if !list.ReadASN1(&pair, cbasn1.SEQUENCE) || !pair.ReadASN1(&id, cbasn1.OBJECT_IDENTIFIER) {
			return errors.New("entry is not a DER SEQUENCE that begins with an identifier")
		}
		n := len(prefix)
		if len(id) != n+1 || string(id[:n]) != prefix || id[n] < 1 || int(id[n]) > len(values) {
			continue
		}
		to := &values[id[n]-1]
		if *to != nil {
			return fmt.Errorf("entry %d appears twice", id[n])
		}
		*to = pair
	}
	return nil
}

var errMissing = errors.New("is missing")

// readOctets reads a single OCTET STRING of exactly the length of to.
func readOctets(der cryptobyte.String, to []byte) error {
	if der == nil {
		return errMissing
	}
	var octets cryptobyte.String
	if !der.ReadASN1(&octets, cbasn1.OCTET_STRING) || !der.Empty() {
		return errors.New("is not a single DER OCTET STRING")
	}
	if len(octets) != len(to) {
		return fmt.Errorf("has %d bytes, want %d", len(octets), len(to))
	}
	copy(to, octets)
	return nil
}

// readInteger reads a single INTEGER into to, a pointer to an unsigned integer.
func readInteger(der cryptobyte.String, to any) error {
	if der == nil {
		return errMissing
	}
	if !der.ReadASN1Integer(to) || !der.Empty() {
		return errors.New("is not a single DER INTEGER in range")
	}
	return nil
}
