package issue

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"fmt"

	"sallyport/acme"
	"sallyport/certs"
	"sallyport/rpc"
	"sallyport/rpc/gatewaypb"
)

// AcmeInfo and https://gateway.<domain>/.dstack/acme-info publish the certificates of a
// domain: dstack's members, those of its older versions too, and in "evidence" which keys
// have quotes. The first word of that text is for programs:
//
//	all          each key in hist_keys has a quote
//	partial: …   some have none
//	none: …      no key has one
//	certificate: the certificate has its own evidence in it (RA-TLS)
//
// A key without a quote is listed with empty texts, so that a client that requires a quote
// of each key notices.

// maxPublished bounds the evidence of one answer in bytes. Older keys beyond it are in
// hist_keys alone.
const maxPublished = 3 << 20

// issuedCertificates knows the certificates of an authority: acme.Manager.
type issuedCertificates interface {
	Info(domain string) (acme.Info, bool)
}

// Published is what is published of the served certificates.
type Published struct {
	certs  *certs.Index
	issued issuedCertificates // nil: no domain has one of an authority
}

var _ rpc.Certificates = Published{}

// Publish returns what is published of the certificates in index. i is nil where no
// domain has certificates of an authority.
func Publish(index *certs.Index, i *Issuer) Published {
	p := Published{certs: index}
	if i != nil {
		p.issued = i.manager
	}
	return p
}

// ACMEInfo implements rpc.Certificates. It reads memory alone.
func (p Published) ACMEInfo(domain string) (*gatewaypb.AcmeInfoResponse, bool) {
	for _, s := range p.certs.Status() {
		if domain != "" && s.Domain != domain {
			continue
		}
		if p.issued != nil {
			if info, ok := p.issued.Info(s.Domain); ok {
				return issuedInfo(info), true
			}
		}
		return p.servedInfo(s), true
	}
	return nil, false
}

// servedInfo describes a certificate that no authority issued to this gateway.
func (p Published) servedInfo(s certs.Status) *gatewaypb.AcmeInfoResponse {
	out := &gatewaypb.AcmeInfoResponse{BaseDomain: s.Domain, Evidence: "none: there is no certificate yet"}
	conf := p.certs.TLSConfig(s.Domain, "")
	if s.NotAfter.IsZero() || conf == nil {
		return out
	}
	cert, err := conf.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil { // there is one: see above
		return out
	}
	var chain bytes.Buffer
	for _, der := range cert.Certificate {
		_ = pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: der}) // to memory
	}
	key := cert.Leaf.RawSubjectPublicKeyInfo
	out.ActiveCert, out.HistKeys = chain.String(), [][]byte{key}
	out.QuotedHistKeys = []*gatewaypb.QuotedPublicKey{{PublicKey: key}}
	out.Evidence = "none: the certificate and its key are from files; the gateway does not know where the key was made"
	if s.Source == "ratls" {
		out.Evidence = "certificate: the gateway made the certificate, which contains the evidence; verify that (RA-TLS, report data of ratls-cert)"
	}
	return out
}

// issuedInfo describes a certificate of an authority. The newest keys come first where not
// all evidence fits.
func issuedInfo(info acme.Info) *gatewaypb.AcmeInfoResponse {
	out := &gatewaypb.AcmeInfoResponse{
		AccountUri: info.AccountURI, AccountQuote: info.AccountQuote, AccountAttestation: info.AccountAttestation,
		BaseDomain: info.BaseDomain, ActiveCert: info.ActiveCert, HistKeys: info.HistKeys,
	}
	first, size, quoted := len(info.QuotedHistKeys), 0, 0
	for first > 0 {
		k := info.QuotedHistKeys[first-1]
		if size += len(k.Quote) + len(k.Attestation); size > maxPublished {
			break
		}
		if k.Quote != "" || k.Attestation != "" {
			quoted++
		}
		first--
	}
	for _, k := range info.QuotedHistKeys[first:] {
		out.QuotedHistKeys = append(out.QuotedHistKeys, &gatewaypb.QuotedPublicKey{PublicKey: k.PublicKey, Quote: k.Quote, Attestation: k.Attestation})
	}
	switch all := len(info.HistKeys); {
	case all == 0:
		out.Evidence = "none: there is no key yet"
	case quoted == all:
		out.Evidence = "all"
	case first > 0:
		out.Evidence = fmt.Sprintf("partial: %[2]d of %[1]d keys are listed with quotes; the oldest %[3]d do not fit", all, quoted, first)
	case quoted == 0:
		out.Evidence = "none: no quote source answered when the keys were made"
	default:
		out.Evidence = fmt.Sprintf("partial: %[2]d of %[1]d keys have quotes; no quote source answered when the others were made", all, quoted)
	}
	return out
}
