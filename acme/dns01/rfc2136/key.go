package rfc2136

import (
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/miekg/dns"
)

// key signs messages.
type key struct {
	name      string // canonical
	algorithm string // as in a TSIG record
	secret    string // base64
}

// maxSecret bounds the file, in bytes. A key for SHA-512 has 88.
const maxSecret = 1024

// readKey reads the secret from file.
func readKey(name, algorithm, file string) (key, error) {
	k := key{name: dns.CanonicalName(name)}
	if _, ok := dns.IsDomainName(k.name); !ok {
		return key{}, fmt.Errorf("key name %.80q is no domain name", name)
	}
	switch strings.ToLower(algorithm) {
	case "hmac-sha256":
		k.algorithm = dns.HmacSHA256
	case "hmac-sha512":
		k.algorithm = dns.HmacSHA512
	default:
		return key{}, fmt.Errorf("algorithm %.40q: want hmac-sha256 or hmac-sha512", algorithm)
	}
	text, err := readSecret(file)
	if err != nil {
		return key{}, fmt.Errorf("secret file %s: %w", file, err)
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) < 16 {
		return key{}, fmt.Errorf("secret file %s: want at least 16 bytes in base64 and nothing else: the text between the quotes that tsig-keygen prints after \"secret\"", file)
	}
	k.secret = text
	return k, nil
}

func readSecret(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return "", fmt.Errorf("is open to others (mode %04o): run chmod 600 on it", perm)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecret))
	return strings.TrimSpace(string(b)), err
}
