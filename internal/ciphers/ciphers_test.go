package ciphers

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"
)

func TestIntermediateIsAEADWithAFreshKeyExchange(t *testing.T) {
	for _, name := range Names(Intermediate()) {
		aead := strings.Contains(name, "_GCM_") || strings.Contains(name, "_CHACHA20_")
		if !aead || !strings.HasPrefix(name, "TLS_ECDHE_") {
			t.Error(name)
		}
		if _, err := Parse(name); err != nil {
			t.Error(err)
		}
	}
	// What crypto/tls learns to do of this kind belongs to the list.
	for _, s := range tls.CipherSuites() {
		modern := strings.HasPrefix(s.Name, "TLS_ECDHE_") && !strings.Contains(s.Name, "_CBC_")
		if modern != slices.Contains(Intermediate(), s.ID) && slices.Contains(s.SupportedVersions, tls.VersionTLS12) {
			t.Error(s.Name)
		}
	}
}

func TestSuitesAreKnownByTheirNames(t *testing.T) {
	for name, want := range map[string]uint16{
		"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
		"TLS_RSA_WITH_AES_128_GCM_SHA256":    tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
		"TLS_AES_128_GCM_SHA256":             0,
		"TLS_RSA_WITH_3DES_EDE_CBC_SHA":      0,
		"TLS_ECDHE_RSA_WITH_RC4_128_SHA":     0,
		"ECDHE-RSA-AES128-SHA":               0,
		"":                                   0,
		strings.Repeat("\x1b", 4000):         0,
	} {
		got, err := Parse(name)
		if got != want || (err != nil) != (want == 0) || err != nil && len(err.Error()) > 500 {
			t.Errorf("%.40q: %#x, %v", name, got, err)
		}
	}
}
