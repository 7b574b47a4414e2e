package tdx

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
)

const (
	pemBegin = "-----BEGIN CERTIFICATE-----\n"
	pemEnd   = "\n-----END CERTIFICATE-----"
)

// decodeChain reads exactly three certificates in PEM, without anything between them, and a
// NUL behind them as in real quotes. encoding/pem would skip other data and broken
// certificates.
func decodeChain(text []byte) ([][]byte, error) {
	var chain [][]byte
	text = bytes.TrimRight(text, "\n\x00")
	for len(text) > 0 {
		if len(chain) == 3 {
			return nil, errors.New("more than 3")
		}
		body, begins := bytes.CutPrefix(text, []byte(pemBegin))
		body, rest, ends := bytes.Cut(body, []byte(pemEnd))
		next, newline := bytes.CutPrefix(rest, []byte("\n"))
		if !begins || !ends || len(rest) > 0 && !newline {
			return nil, fmt.Errorf("certificate %d is not PEM", len(chain)+1)
		}
		der, err := base64.StdEncoding.Strict().AppendDecode(nil, body)
		if err != nil {
			return nil, fmt.Errorf("certificate %d is not PEM: %w", len(chain)+1, err)
		}
		chain = append(chain, der)
		text = next
	}
	if len(chain) != 3 {
		return nil, fmt.Errorf("%d, want 3: leaf, intermediate, root", len(chain))
	}
	return chain, nil
}
