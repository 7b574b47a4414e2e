package ratls

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"sallyport/ratls/qvl"
	"sallyport/ratls/tdx"
)

// A Verdict is what evidence proves. All callers that ask for it share it: do not change
// it.
type Verdict struct {
	// AppInfo is derived from the event log, its DeviceID from the processor's
	// certificate. Its OSImageHash is from the configuration of the CVM, which no
	// measurement covers; OSImage is the measured one.
	AppInfo     AppInfo
	OSImage     Hash // event os-image-hash; zero: none
	KeyProvider KeyProvider
	TD          tdx.Report // what the hardware measured
	TCB         qvl.Result // how up to date the platform is; without steps
	// SystemKnown reports whether the policy's Measurements name the system (see
	// [Measurement.NamesSystem]). If it is false, AppInfo, OSImage and KeyProvider are
	// claims of an unknown system: any system can make them.
	SystemKnown bool
	// Expires is the end of the collateral's validity: appraise again before.
	Expires time.Time
}

// A KeyProvider is the source of a CVM's keys.
type KeyProvider struct {
	Name string // "kms", "local-sgx", "tpm" or "none"; empty: not known
	ID   Bytes  // of a KMS: its root's SubjectPublicKeyInfo in DER
}

// String returns the name and the id in hex.
func (k KeyProvider) String() string {
	if k.Name == "" {
		return "none is known"
	}
	return strings.TrimSuffix(k.Name+" "+k.ID.String(), " ")
}

// parseKeyProvider reads the payload of the event key-provider. The name must be
// safe to show in a terminal.
func parseKeyProvider(payload []byte) (KeyProvider, error) {
	if len(payload) == 0 {
		return KeyProvider{}, nil
	}
	var doc struct{ Name, ID string }
	if err := json.Unmarshal(payload, &doc); err != nil {
		return KeyProvider{}, fmt.Errorf("event key-provider: %w", err)
	}
	if doc.Name == "" || len(doc.Name) > maxUsage || strings.ContainsFunc(doc.Name, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return KeyProvider{}, errors.New("event key-provider: name is not a word of printable ASCII")
	}
	id, err := hex.DecodeString(doc.ID)
	if err != nil {
		return KeyProvider{}, fmt.Errorf("event key-provider: id: %w", err)
	}
	return KeyProvider{Name: doc.Name, ID: id}, nil
}
