package verify

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode"

	"sallyport/internal/regularfile"
	"sallyport/ratls"
	"sallyport/ratls/attestation"
)

// The forms in which evidence is kept in files. A form is known by its first bytes; the
// parsers of package ratls do the rest. For hosts see verify_host.go.

// maxSubject bounds a file: an attestation of the largest size in hex, in JSON.
const maxSubject = 4*attestation.MaxSize + 1<<20

// subject is evidence, and what is known about where it is from.
type subject struct {
	what        string
	evidence    ratls.Evidence
	certificate *x509.Certificate   // whose key the evidence is for; nil: none
	above       []*x509.Certificate // that came with it
	published   bool                // beside the certificate, not in it
}

// open is what such evidence cannot prove.
func (s *subject) open() (list []string) {
	if len(s.evidence.PublicKey) == 0 {
		list = append(list, "key binding: none, because there is no certificate: anybody can show this evidence")
	}
	if s.published {
		list = append(list, "issuer: not checked; the evidence is for the certificate's key, not for the name in it")
	}
	if len(s.evidence.Attestation) == 0 && len(s.evidence.EventLog) == 0 {
		list = append(list, "app: unknown, because there is no event log: any app may run there")
	}
	return list
}

// readSubject reads standard input for "-", or the file of that name. isFile is false if the
// file does not exist and the name could be a host's.
func readSubject(what string) (data []byte, isFile bool, err error) {
	if what == "-" {
		data, err = io.ReadAll(io.LimitReader(os.Stdin, maxSubject+1))
		if err == nil && len(data) > maxSubject {
			err = tooLarge("standard input")
		}
		return data, true, err
	}
	data, _, err = regularfile.Read(what, maxSubject)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !strings.ContainsRune(trimScheme(what), os.PathSeparator):
		return nil, false, nil
	case errors.Is(err, regularfile.ErrNotRegular):
		err = fmt.Errorf("%w, or - for standard input", err)
	case errors.Is(err, regularfile.ErrTooLarge):
		err = tooLarge(what)
	}
	return data, true, err
}

func tooLarge(name string) error {
	return fmt.Errorf("%s: is larger than %d MiB, the limit for evidence", name, maxSubject>>20)
}

// parseSubject finds out the form of data.
func parseSubject(data []byte) (*subject, error) {
	if decoded := unhex(data); decoded != nil {
		data = decoded
	}
	text := bytes.TrimSpace(data)
	switch {
	case len(text) == 0:
		return nil, errors.New("is empty")
	case text[0] == '{':
		return parseGetQuote(text)
	case bytes.HasPrefix(text, []byte("-----BEGIN ")):
		return parsePEM(text)
	case data[0] == 0x30: // SEQUENCE
		return parseCertificate(data)
	case isQuote(data):
		return &subject{what: "a quote", evidence: ratls.Evidence{Quote: data}}, nil
	case isAttestation(data):
		return &subject{what: "an attestation", evidence: ratls.Evidence{Attestation: data}}, nil
	case bytes.Contains(text, []byte("-----BEGIN ")): // not before: quotes have PEM in them
		return parsePEM(text)
	}
	return nil, errors.New("is not a certificate, a quote, an attestation, GetQuote JSON, or hex of one")
}

// unhex decodes text that is nothing but hexadecimal, in lines as xxd -p writes it or
// in one. Else it returns nil.
func unhex(data []byte) []byte {
	text := bytes.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, bytes.TrimPrefix(bytes.TrimSpace(data), []byte("0x")))
	decoded := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(decoded, text); err != nil || len(decoded) == 0 {
		return nil
	}
	return decoded
}

// isQuote knows a quote by its header: version, key type, TEE type. Those of SGX are
// refused by name.
func isQuote(b []byte) bool {
	return len(b) >= 8 && binary.LittleEndian.Uint16(b) >= 3 && binary.LittleEndian.Uint16(b) <= 5 &&
		binary.LittleEndian.Uint32(b[4:]) <= 0x81
}

// isAttestation knows an attestation by its version: a zero byte (SCALE), or the head
// of a map (MessagePack).
func isAttestation(b []byte) bool {
	return b[0] == 0 || b[0]&0xf0 == 0x80 || b[0] == 0xde || b[0] == 0xdf
}

// maxChain is the most certificates of a PEM file that are looked at.
const maxChain = 8

// parsePEM takes the first certificate of a chain, and those above it. What openssl writes
// before it, or a key, is passed over.
func parsePEM(text []byte) (s *subject, err error) {
	for {
		block, rest := pem.Decode(text)
		switch {
		case block == nil && s == nil:
			return nil, errors.New("is PEM, but has no certificate")
		case block == nil || s != nil && len(s.above) == maxChain-1:
			return s, nil
		case block.Type != "CERTIFICATE":
		case s == nil:
			if s, err = parseCertificate(block.Bytes); err != nil {
				return nil, err
			}
		default:
			above, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("certificate %d of the chain: %w", len(s.above)+2, err)
			}
			s.above = append(s.above, above)
		}
		text = rest
	}
}

func parseCertificate(der []byte) (*subject, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("is not a certificate: %w", err)
	}
	return certificateSubject(cert)
}

func certificateSubject(cert *x509.Certificate) (*subject, error) {
	e, err := ratls.EvidenceOf(cert)
	if errors.Is(err, ratls.ErrNoAttestation) {
		return nil, fmt.Errorf("certificate %q has no evidence in it: %w", cert.Subject, err)
	}
	if err != nil {
		return nil, err
	}
	return &subject{what: fmt.Sprintf("certificate %q", cert.Subject), evidence: e, certificate: cert}, nil
}

// parseGetQuote prefers the attestation, which is complete.
func parseGetQuote(text []byte) (*subject, error) {
	var q attestation.QuoteAnswer
	if err := json.Unmarshal(text, &q); err != nil {
		return nil, fmt.Errorf("answer to GetQuote in JSON: %w", err)
	}
	if len(q.Attestation) > 0 {
		return &subject{what: "an attestation", evidence: ratls.Evidence{Attestation: q.Attestation}}, nil
	}
	s := &subject{what: "a quote", evidence: ratls.Evidence{Quote: q.Quote, EventLog: []byte(q.EventLog), VMConfig: q.VMConfig}}
	if q.EventLog != "" {
		s.what = "a quote with its event log"
	}
	return s, nil
}
