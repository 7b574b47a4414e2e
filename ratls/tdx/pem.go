package tdx

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
)

const (
	pemBegin = "-----BEGIN CERTIFICATE-----"
	pemEnd   = "-----END CERTIFICATE-----"
	pemSpace = "\r\n"
)

// decodeChain reads exactly three certificates in PEM, with nothing but the ends
// of lines between and, as in real quotes, a NUL behind them. encoding/pem would
// pass over anything else.
func decodeChain(text []byte) ([][]byte, error) {
	var chain [][]byte
	text = bytes.TrimRight(text, pemSpace+"\x00")
	for len(text) > 0 {
		body, begins := bytes.CutPrefix(text, []byte(pemBegin))
		body, rest, ends := bytes.Cut(body, []byte(pemEnd))
		switch {
		case len(chain) == 3:
			return nil, errors.New("more than 3")
		case !begins || !ends:
			return nil, fmt.Errorf("certificate %d is not PEM", len(chain)+1)
		}
		der, err := base64.StdEncoding.Strict().AppendDecode(nil, body)
		if err != nil {
			return nil, fmt.Errorf("certificate %d is not PEM: %w", len(chain)+1, err)
		}
		chain = append(chain, der)
		text = bytes.TrimLeft(rest, pemSpace)
	}
	if len(chain) != 3 {
		return nil, fmt.Errorf("%d, want 3: leaf, intermediate, root", len(chain))
	}
	return chain, nil
}
