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

// A Verdict is what evidence proves. It is shared by all who ask for it: it must
// not be changed.
type Verdict struct {
	// AppInfo is the machine's own: the event log's, and DeviceID from its
	// processor. Its OSImageHash is from the machine's configuration, which no
	// measurement covers; OSImage is what was measured of it.
	AppInfo     AppInfo
	OSImage     Hash // event os-image-hash; zero: none
	KeyProvider KeyProvider
	TD          tdx.Report // what the hardware measured
	TCB         qvl.Result // how up to date the platform is; without steps
	// SystemKnown: the system is one that the policy's Measurements name (see
	// [Measurement.NamesSystem]). Where it is false AppInfo, OSImage and KeyProvider are
	// the word of a system that nobody has judged: any may say the same.
	SystemKnown bool
	// Expires is when Intel's word on the platform ends: judge again before.
	Expires time.Time
}

// A KeyProvider says where a machine's keys are from.
type KeyProvider struct {
	Name string // "kms", "local-sgx", "tpm" or "none"; empty: not known
	ID   Bytes  // of a KMS: its root's SubjectPublicKeyInfo in DER
}

// String is the name and the id in hex.
func (k KeyProvider) String() string {
	if k.Name == "" {
		return "none is known"
	}
	return strings.TrimSuffix(k.Name+" "+k.ID.String(), " ")
}

// parseKeyProvider reads the payload of the event key-provider. The name must be one
// that may be shown in a terminal.
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
