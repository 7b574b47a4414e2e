package pccs

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// The forms of the answers (Intel, "PCS API V4"; a PCCS has other names of headers and CRLs in
// hex). All of them are taken to be hostile: they come over networks, and anybody can run a
// PCCS. Package qvl reads the documents themselves.

const signatureSize = 64 // ECDSA over P-256: r and s

// parseSigned splits {"<member>":{…},"signature":"<hex>"}. The signature covers the bytes of
// the member as they were sent, so they are cut out and not encoded again. The object must not
// have other members, or one twice: otherwise two readers could use different ones.
func parseSigned(body []byte, member string) (document, signature []byte, err error) {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, nil, errors.New("the answer is not a JSON object")
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, nil, err
		}
		switch {
		case name == member && document == nil:
			var raw json.RawMessage
			if err := d.Decode(&raw); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", member, err)
			}
			document = raw
		case name == "signature" && signature == nil:
			if signature, err = decodeSignature(d); err != nil {
				return nil, nil, err
			}
		default:
			return nil, nil, fmt.Errorf("the answer has a member other than one %s and one signature", member)
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("there is data after the answer")
	}
	if document == nil || signature == nil {
		return nil, nil, fmt.Errorf("the answer lacks %s or its signature", member)
	}
	if document[0] != '{' {
		return nil, nil, fmt.Errorf("%s is not a JSON object", member)
	}
	return document, signature, nil
}

func decodeSignature(d *json.Decoder) ([]byte, error) {
	var text string
	if err := d.Decode(&text); err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != signatureSize {
		return nil, fmt.Errorf("the signature is not %d bytes in hex", signatureSize)
	}
	return b, nil
}

// parseChain returns an issuer chain, in PEM, from the single header with one of these names.
// The header is URL-escaped.
func parseChain(h http.Header, names ...string) ([]byte, error) {
	for _, name := range names {
		switch values := h.Values(name); len(values) {
		case 0:
			continue
		case 1:
			pem, err := url.PathUnescape(values[0]) // which leaves the + of base64 alone
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			return []byte(pem), nil
		default:
			return nil, fmt.Errorf("the answer has the header %s %d times", name, len(values))
		}
	}
	return nil, fmt.Errorf("the answer has no header %s", names[0])
}

// parseCRL returns a revocation list in DER from DER or hex (a PCCS sends hex).
func parseCRL(body []byte) ([]byte, error) {
	if len(body) > 0 && body[0] == 0x30 { // which DER begins with, and hex of DER does not
		return body, nil
	}
	text := bytes.TrimSpace(body)
	der := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(der, text); err != nil || len(der) == 0 {
		return nil, errors.New("the answer is not a CRL in DER or hex")
	}
	return der, nil
}
