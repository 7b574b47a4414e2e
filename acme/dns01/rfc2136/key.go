package rfc2136

import (
	"encoding/base64"
	"fmt"
	"strings"

	"sallyport/internal/secretfile"

	"github.com/miekg/dns"
)

// key signs messages.
type key struct {
	name      string // canonical
	algorithm string // as in a TSIG record
	secret    string // base64
}

// readKey reads the secret from file.
func readKey(name, algorithm, file string) (key, error) {
	k := key{name: dns.CanonicalName(name)}
	if _, ok := dns.IsDomainName(k.name); !ok {
		return key{}, fmt.Errorf("key name %.80q is not a domain name", name)
	}
	switch strings.ToLower(algorithm) {
	case "hmac-sha256":
		k.algorithm = dns.HmacSHA256
	case "hmac-sha512":
		k.algorithm = dns.HmacSHA512
	default:
		return key{}, fmt.Errorf("algorithm %.40q: want hmac-sha256 or hmac-sha512", algorithm)
	}
	text, err := secretfile.Read(file)
	if err != nil {
		return key{}, fmt.Errorf("secret file: %w", err)
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) < 16 {
		return key{}, fmt.Errorf("secret file %s: want at least 16 bytes in base64 and nothing else: the text between the quotes that tsig-keygen prints after \"secret\"", file)
	}
	k.secret = text
	return k, nil
}
