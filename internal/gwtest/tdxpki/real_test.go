package tdxpki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"encoding/json"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// The tests of this file take real data apart and put it together again: the
// same bytes must come out, but for signatures.

func TestRealCertificatesAreReproduced(t *testing.T) {
	c := realCollateral(t)
	quote := fixture(t, "derived/quote-report.quote.bin")
	all := blocks(t, []byte(c["tcb_info_issuer_chain"]))
	all = append(all, blocks(t, quote[bytes.Index(quote, []byte("-----BEGIN")):])...)
	for _, der := range all {
		real, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		tbs := build(func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				templateOf(t, real).marshal(b, real.PublicKey.(*ecdsa.PublicKey))
			})
		})
		if !bytes.Equal(tbs, real.RawTBSCertificate) {
			t.Errorf("%s:\n got %x\nwant %x", real.Subject.CommonName, tbs, real.RawTBSCertificate)
		}
	}
}

func templateOf(t *testing.T, real *x509.Certificate) Template {
	out := Template{
		Serial: real.SerialNumber.Bytes(), Issuer: real.Issuer.CommonName, Subject: real.Subject.CommonName,
		NotBefore: real.NotBefore, NotAfter: real.NotAfter,
		AuthorityKeyID: real.AuthorityKeyId, SubjectKeyID: real.SubjectKeyId,
		CRLURL: real.CRLDistributionPoints[0], KeyUsage: LeafUsage, CA: real.IsCA, PathLen: real.MaxPathLen,
	}
	if real.IsCA {
		out.KeyUsage = AuthorityUsage
	}
	if out.Subject == pckName {
		out.Extra = append(out.Extra, pckOf(t, real).Extension())
	}
	if id := keyID(real.PublicKey.(*ecdsa.PublicKey)); !bytes.Equal(id, out.SubjectKeyID) {
		t.Errorf("%s: key id %x, want %x", out.Subject, id, out.SubjectKeyID)
	}
	return out
}

// pckOf reads the SGX extension where it is in the fixture: no parser.
func pckOf(t *testing.T, real *x509.Certificate) PCK {
	raw := real.Extensions[5].Value
	after := func(id asn1.ObjectIdentifier, skip int) []byte {
		der, err := asn1.Marshal(id)
		if err != nil {
			t.Fatal(err)
		}
		return raw[bytes.Index(raw, der)+len(der)+skip:]
	}
	return PCK{
		PPID:       [16]byte(after(sgxArc(1), 2)),
		Components: [16]byte(after(sgxArc(2, 18), 2)),
		PCESVN:     uint16(after(sgxArc(2, 17), 2)[0]),
		PCEID:      [2]byte(after(sgxArc(3), 2)),
		FMSPC:      [6]byte(after(sgxArc(4), 2)),
		SGXType:    int(after(sgxArc(5), 2)[0]),
		Instance: &PlatformInstance{
			ID:              [16]byte(after(sgxArc(6), 2)),
			DynamicPlatform: after(sgxArc(7, 1), 2)[0] != 0,
			CachedKeys:      after(sgxArc(7, 2), 2)[0] != 0,
			SMTEnabled:      after(sgxArc(7, 3), 2)[0] != 0,
		},
	}
}

func TestRealRevocationListsAreReproduced(t *testing.T) {
	c := realCollateral(t)
	for _, name := range []string{"root_ca_crl", "pck_crl"} {
		real, err := x509.ParseRevocationList(unhex(t, c[name]))
		if err != nil {
			t.Fatal(err)
		}
		issuer := Template{Subject: real.Issuer.CommonName, SubjectKeyID: real.AuthorityKeyId}
		list := CRL{
			Issuer:     &Entity{Template: issuer, Key: New(1, now).Root.Key},
			ThisUpdate: real.ThisUpdate, NextUpdate: real.NextUpdate, Number: real.Number.Int64(),
		}
		for _, e := range real.RevokedCertificateEntries {
			list.Revoked = append(list.Revoked, e.SerialNumber.Bytes())
		}
		ours, err := x509.ParseRevocationList(list.Sign())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(ours.RawTBSRevocationList, real.RawTBSRevocationList) {
			t.Errorf("%s differs from Intel's", name)
		}
	}
}

func TestRealTCBInfoAndIdentityAreReproduced(t *testing.T) {
	c := realCollateral(t)
	var info TCBInfo
	var identity QEIdentity
	for name, value := range map[string]any{"tcb_info": &info, "qe_identity": &identity} {
		readJSON(t, []byte(c[name]), value)
		ours, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if string(ours) != c[name] {
			t.Errorf("%s:\n got %s\nwant %s", name, ours, c[name])
		}
	}
}

func TestRealQuotesAreReproduced(t *testing.T) {
	for _, name := range []string{"derived/quote-report.quote.bin", "derived/guest-agent.quote.bin", "dstack/ra-tls-tdx_quote.bin"} {
		real := fixture(t, name)
		if ours := quoteOf(t, real).Encode(); !bytes.Equal(ours, real) {
			t.Errorf("%s: differs from the real quote", name)
		}
	}
}

// quoteOf reads the fields of a version 4 quote by their offsets.
func quoteOf(t *testing.T, raw []byte) *Quote {
	t.Helper()
	le := binary.LittleEndian
	td, qe := raw[48:632], raw[770:1154]
	auth := int(le.Uint16(raw[1218:]))
	pck := raw[1220+auth:]
	size := int(le.Uint32(pck[2:]))
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append([]byte{4}, raw[700:764]...))
	if err != nil {
		t.Fatal(err)
	}
	q := &Quote{
		Version: le.Uint16(raw), AttestationKeyType: le.Uint16(raw[2:]), TEEType: le.Uint32(raw[4:]),
		QESVN: le.Uint16(raw[8:]), PCESVN: le.Uint16(raw[10:]), QEVendor: [16]byte(raw[12:]), UserData: [20]byte(raw[28:]),
		TD: TDReport{
			TEETCBSVN: [16]byte(td), MRSeam: [48]byte(td[16:]), MRSignerSeam: [48]byte(td[64:]), SeamAttributes: [8]byte(td[112:]),
			TDAttributes: le.Uint64(td[120:]), XFAM: le.Uint64(td[128:]), MRTD: [48]byte(td[136:]), MRConfigID: [48]byte(td[184:]),
			MROwner: [48]byte(td[232:]), MROwnerConfig: [48]byte(td[280:]), ReportData: [64]byte(td[520:]),
		},
		Signature: [64]byte(raw[636:]), AttestationKey: &ecdsa.PrivateKey{PublicKey: *key}, CertificationType: le.Uint16(raw[764:]),
		QE: EnclaveReport{
			CPUSVN: [16]byte(qe), MiscSelect: le.Uint32(qe[16:]), Attributes: [16]byte(qe[48:]), MREnclave: [32]byte(qe[64:]),
			MRSigner: [32]byte(qe[128:]), ISVProdID: le.Uint16(qe[256:]), ISVSVN: le.Uint16(qe[258:]), ReportData: [64]byte(qe[320:]),
		},
		QESignature: [64]byte(raw[1154:]), AuthData: raw[1220 : 1220+auth],
		PCKType: le.Uint16(pck), PCKData: pck[6 : 6+size], Trailing: pck[6+size:],
	}
	for i := range q.TD.RTMR {
		q.TD.RTMR[i] = [48]byte(td[328+48*i:])
	}
	return q
}

func TestFileHasTheMembersOfTheRealOne(t *testing.T) {
	var ours map[string]string
	readJSON(t, New(1, now).Collateral().Sign().File(), &ours)
	for name := range realCollateral(t) {
		if ours[name] == "" && name != "pck_certificate_chain" {
			t.Errorf("no %s", name)
		}
	}
}
