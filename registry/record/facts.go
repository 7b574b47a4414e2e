package record

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Facts are the rest of the attested app info, in dstack's JSON. They are kept with the
// instance, so that the webhook can be asked about it again.
type Facts struct {
	DeviceID         Hex   `json:"device_id"`
	MRSystem         Hex   `json:"mr_system"`
	MRAggregated     Hex   `json:"mr_aggregated"`
	OSImageHash      Hex   `json:"os_image_hash"`
	KeyProviderInfo  Hex   `json:"key_provider_info"`
	InitScriptHashes []Hex `json:"init_script_hashes"` // nil: the guest is too old to report them
}

// Hex is bytes that JSON has in hexadecimal.
type Hex []byte

// MarshalText returns h in lower-case hexadecimal.
func (h Hex) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

// UnmarshalText parses hexadecimal.
func (h *Hex) UnmarshalText(text []byte) (err error) {
	*h, err = hex.AppendDecode(nil, text)
	return err
}

// maxFacts bounds their JSON in bytes. dstack's have about 700.
const maxFacts = 16 << 10

// EncodeFacts returns f as a record has it: comparable, and the same for equal facts; "" if
// there are none.
func EncodeFacts(f Facts) (string, error) {
	if f.DeviceID == nil && f.MRSystem == nil && f.MRAggregated == nil && f.OSImageHash == nil && f.KeyProviderInfo == nil && f.InitScriptHashes == nil {
		return "", nil
	}
	b, err := json.Marshal(f)
	if err == nil && len(b) > maxFacts {
		err = fmt.Errorf("app info of %d bytes, the limit is %d", len(b), maxFacts)
	}
	return string(b), err
}

// DecodeFacts reads what EncodeFacts wrote.
func DecodeFacts(text string) (Facts, error) {
	if len(text) > maxFacts {
		return Facts{}, fmt.Errorf("app info of %d bytes, the limit is %d", len(text), maxFacts)
	}
	var f Facts
	if err := strictJSON([]byte(text), &f); err != nil {
		return Facts{}, fmt.Errorf("app info: %w", err)
	}
	return f, nil
}
