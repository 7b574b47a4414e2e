package ratls

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"sallyport/ratls/pccs"
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
	TCB         qvl.Result // how up to date the platform is
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
	return k.Name + " " + k.ID.String()
}

// parseKeyProvider reads the payload of the event key-provider.
func parseKeyProvider(payload []byte) (KeyProvider, error) {
	if len(payload) == 0 {
		return KeyProvider{}, nil
	}
	var doc struct{ Name, ID string }
	if err := json.Unmarshal(payload, &doc); err != nil {
		return KeyProvider{}, fmt.Errorf("event key-provider: %w", err)
	}
	id, err := hex.DecodeString(doc.ID)
	if err != nil {
		return KeyProvider{}, fmt.Errorf("event key-provider: id: %w", err)
	}
	return KeyProvider{Name: doc.Name, ID: id}, nil
}

// A CollateralSource has what Intel publishes about a kind of platform, its signatures
// checked. [pccs.Client] and [pccs.Fixed] are such.
type CollateralSource interface {
	// Prepared returns the same pointer as long as nothing changed. It may fetch
	// until ctx ends. An error that wraps [pccs.ErrUnavailable] says nothing about
	// evidence. It may be called concurrently.
	Prepared(ctx context.Context, p pccs.Platform) (*qvl.Prepared, error)
}
