package ratls

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// The extensions of an RA-TLS certificate have the identifiers 1.3.6.1.4.1.62397.1.n. None
// is critical. The value of each is a DER OCTET STRING around the payload, inside the OCTET
// STRING that X.509 puts around every value.

// The usages (extension .4) that an authority writes.
const (
	UsageAppCA  = "app:ca"     // an app's own issuing authority
	UsageApp    = "app:custom" // any certificate issued for an app
	UsageKMSRPC = "kms:rpc"    // the server of a KMS
)

// Extensions are the RA-TLS extensions of a certificate. A zero field is absent.
type Extensions struct {
	// Quote and EventLog (.1, .2) are hardware evidence in the form of dstack 0.5.8 and
	// older: a TDX quote, and the JSON of its event log, here always uncompressed.
	// Attestation (.8) is the later form, and counts if both forms are present. This
	// package does not interpret the three here. Each is nil or not empty.
	Quote, EventLog, Attestation []byte
	AppID                        AppID    // .3
	Usage                        string   // .4, printable ASCII
	AppInfo                      *AppInfo // .9
}

// The last arc of the identifier of each extension.
const (
	arcQuote       = 1
	arcEventLog    = 2
	arcAppID       = 3
	arcUsage       = 4
	arcAttestation = 8
	arcAppInfo     = 9
)

const (
	maxEvidence = 256 << 10 // crypto/tls takes no longer certificate message
	maxUsage    = 64
)

// An extensionKind is the meaning of one identifier.
type extensionKind struct {
	arc   int
	name  string
	limit int // of the payload, in bytes
	read  func(*Extensions, []byte) error
}

var extensionKinds = [...]extensionKind{
	{arcQuote, "quote", maxEvidence, (*Extensions).readQuote},
	{arcEventLog, "event log", maxEvidence, (*Extensions).readEventLog},
	{arcAppID, "app id", len(AppID{}), (*Extensions).readAppID},
	{arcUsage, "usage", maxUsage, (*Extensions).readUsage},
	{arcAttestation, "attestation", maxEvidence, (*Extensions).readAttestation},
	{arcAppInfo, "app info", maxAppInfo, (*Extensions).readAppInfo},
}

// ParseExtensions reads the RA-TLS extensions among those of a certificate, and ignores
// the others. It keeps nothing of its input, is bounded by it in time and memory, and may
// be called concurrently.
func ParseExtensions(extensions []pkix.Extension) (Extensions, error) {
	var e Extensions
	var seen [len(extensionKinds)]bool
	for _, x := range extensions {
		i := kindOf(x.Id)
		if i < 0 {
			continue
		}
		kind := extensionKinds[i]
		if seen[i] { // which of the two would count? (RFC 5280, 4.2)
			return Extensions{}, fmt.Errorf("%s: extension appears twice", kind.name)
		}
		seen[i] = true
		if err := kind.parse(&e, x.Value); err != nil {
			return Extensions{}, fmt.Errorf("%s: %w", kind.name, err)
		}
	}
	return e, nil
}

// Marshal returns the extensions for a certificate, in the order of their identifiers. It
// returns an error if ParseExtensions would refuse the result.
func (e Extensions) Marshal() ([]pkix.Extension, error) {
	var out []pkix.Extension
	add := func(arc int, payload []byte) {
		if len(payload) > 0 {
			out = append(out, pkix.Extension{Id: oid(arc), Value: octetString(payload)})
		}
	}
	add(arcQuote, e.Quote)
	add(arcEventLog, e.EventLog)
	if !e.AppID.IsZero() {
		add(arcAppID, e.AppID[:])
	}
	add(arcUsage, []byte(e.Usage))
	add(arcAttestation, e.Attestation)
	if e.AppInfo != nil {
		payload, err := e.AppInfo.Marshal()
		if err != nil {
			return nil, err
		}
		add(arcAppInfo, payload)
	}
	if _, err := ParseExtensions(out); err != nil {
		return nil, err
	}
	return out, nil
}

func (k extensionKind) parse(e *Extensions, value []byte) error {
	payload, err := unwrap(value)
	switch {
	case err != nil:
		return err
	case len(payload) == 0:
		return errors.New("empty")
	case len(payload) > k.limit:
		return fmt.Errorf("%d bytes, want at most %d", len(payload), k.limit)
	}
	return k.read(e, payload)
}

func (e *Extensions) readQuote(b []byte) error {
	e.Quote = bytes.Clone(b)
	return nil
}

func (e *Extensions) readAttestation(b []byte) error {
	e.Attestation = bytes.Clone(b)
	return nil
}

func (e *Extensions) readEventLog(b []byte) (err error) {
	e.EventLog, err = expandEventLog(b)
	return err
}

func (e *Extensions) readAppID(b []byte) error {
	if len(b) != len(e.AppID) {
		return fmt.Errorf("%d bytes, want %d", len(b), len(e.AppID))
	}
	e.AppID = AppID(b)
	if e.AppID.IsZero() {
		return errZero
	}
	return nil
}

// readUsage accepts only text that may appear in a log line.
func (e *Extensions) readUsage(b []byte) error {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return errors.New("not printable ASCII")
		}
	}
	e.Usage = string(b)
	return nil
}

func (e *Extensions) readAppInfo(b []byte) (err error) {
	e.AppInfo, err = parseAppInfo(b)
	return err
}

// unwrap returns the payload in the inner OCTET STRING, as a part of value.
func unwrap(value []byte) ([]byte, error) {
	s := cryptobyte.String(value)
	var payload cryptobyte.String
	if !s.ReadASN1(&payload, cbasn1.OCTET_STRING) || !s.Empty() {
		return nil, errors.New("value is not a single DER OCTET STRING")
	}
	return payload, nil
}

// octetString wraps a payload. It cannot panic: a builder fails only on lengths of 4 GiB.
func octetString(payload []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1OctetString(payload)
	return b.BytesOrPanic()
}

// kindOf returns the index of an identifier in extensionKinds, -1 if it is not of RA-TLS.
func kindOf(id asn1.ObjectIdentifier) int {
	return slices.IndexFunc(extensionKinds[:], func(k extensionKind) bool { return id.Equal(oid(k.arc)) })
}

func oid(arc int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 62397, 1, arc}
}
