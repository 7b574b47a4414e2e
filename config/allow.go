package config

import (
	"encoding/hex"
	"fmt"
)

// Allow is what attestation.allow_file lists. A list that is missing (nil) allows
// all; none is empty. The tag of a field is its key in the file, as in Config.
type Allow struct {
	Apps          [][]byte `toml:"apps"`           // app ids, 20 bytes
	ComposeHashes [][]byte `toml:"compose_hashes"` // SHA-256 of compose files
	// OSImages are hashes of operating system images, as the KMS of a CVM reports them
	// its own: 32 bytes. A machine that runs something else may claim one: list its
	// measurements too, unless the KMS has judged them.
	OSImages [][]byte `toml:"os_images"`
	// KeyProviders are the ids of those that may hold machines' keys: of a KMS its
	// root's public key in DER.
	KeyProviders [][]byte `toml:"key_providers"`
	// Measurements are systems that may run, one of which a machine must match in all
	// the registers that are given.
	Measurements []AllowedMeasurement `toml:"measurement"`
}

// AllowedMeasurement is one system; a register that is nil may have any value.
type AllowedMeasurement struct {
	MRTD  []byte `toml:"mrtd"` // 48 bytes each
	RTMR0 []byte `toml:"rtmr0"`
	RTMR1 []byte `toml:"rtmr1"`
	RTMR2 []byte `toml:"rtmr2"`
}

const maxKeyProvider = 4096 // bytes of an id

// ParseAllow checks the text of an allow file; file is its name, for errors. The error is
// Errors.
func ParseAllow(file string, data []byte) (*Allow, error) {
	return parseWith(file, data, func(root table) *Allow {
		a := readAllow(root)
		root.reportUnknown()
		return a
	})
}

func readAllow(t table) *Allow {
	a := &Allow{
		Apps:          list(t, "apps", nil, parseBytes(20)),
		ComposeHashes: list(t, "compose_hashes", nil, parseBytes(32)),
		OSImages:      list(t, "os_images", nil, parseBytes(32)),
		KeyProviders:  list(t, "key_providers", nil, parseKeyProvider),
	}
	for _, key := range []string{"apps", "compose_hashes", "os_images", "key_providers"} {
		if n := t.get(key); n != nil && len(n.items) == 0 && !n.bad {
			t.fail(key, "is empty: leave it out to allow all")
		}
	}
	for _, t := range t.subs("measurement", maxList) {
		m := AllowedMeasurement{
			MRTD:  optional(t, "mrtd", parseBytes(48)),
			RTMR0: optional(t, "rtmr0", parseBytes(48)),
			RTMR1: optional(t, "rtmr1", parseBytes(48)),
			RTMR2: optional(t, "rtmr2", parseBytes(48)),
		}
		if !t.has("mrtd") && !t.has("rtmr0") && !t.has("rtmr1") && !t.has("rtmr2") {
			t.fail("mrtd", "a measurement without a register would allow every system: want one or more of mrtd, rtmr0, rtmr1 and rtmr2")
		}
		a.Measurements = append(a.Measurements, m)
	}
	return a
}

func parseKeyProvider(s string) ([]byte, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) == 0 || len(b) > maxKeyProvider {
		return nil, fmt.Errorf("%s is not the id of a key provider: want hex; for a KMS, its root's public key in DER", show(s))
	}
	return b, nil
}
