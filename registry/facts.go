package registry

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Facts are the rest of the attested app info, as bytes. They are kept with the instance,
// so that the webhook can be asked about it again.
type Facts struct {
	DeviceID         []byte
	MRSystem         []byte
	MRAggregated     []byte
	OSImageHash      []byte
	KeyProviderInfo  []byte
	InitScriptHashes [][]byte // nil: the guest is too old to tell
}

// maxFacts bounds their JSON in bytes. dstack's have about 700.
const maxFacts = 16 << 10

// factsBody is dstack's form of them in JSON: bytes as hex.
type factsBody struct {
	DeviceID         hexText   `json:"device_id"`
	MRSystem         hexText   `json:"mr_system"`
	MRAggregated     hexText   `json:"mr_aggregated"`
	OSImageHash      hexText   `json:"os_image_hash"`
	KeyProviderInfo  hexText   `json:"key_provider_info"`
	InitScriptHashes []hexText `json:"init_script_hashes"` // null: not known
}

type hexText []byte

func (h hexText) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

func (h *hexText) UnmarshalText(text []byte) (err error) {
	*h, err = hex.AppendDecode(nil, text)
	return err
}

func newFactsBody(f Facts) factsBody {
	b := factsBody{
		DeviceID:        f.DeviceID,
		MRSystem:        f.MRSystem,
		MRAggregated:    f.MRAggregated,
		OSImageHash:     f.OSImageHash,
		KeyProviderInfo: f.KeyProviderInfo,
	}
	if f.InitScriptHashes != nil {
		b.InitScriptHashes = make([]hexText, 0, len(f.InitScriptHashes))
		for _, h := range f.InitScriptHashes {
			b.InitScriptHashes = append(b.InitScriptHashes, h)
		}
	}
	return b
}

func (b factsBody) facts() Facts {
	f := Facts{
		DeviceID:        b.DeviceID,
		MRSystem:        b.MRSystem,
		MRAggregated:    b.MRAggregated,
		OSImageHash:     b.OSImageHash,
		KeyProviderInfo: b.KeyProviderInfo,
	}
	if b.InitScriptHashes != nil {
		f.InitScriptHashes = [][]byte{}
	}
	for _, h := range b.InitScriptHashes {
		f.InitScriptHashes = append(f.InitScriptHashes, h)
	}
	return f
}

// encodeFacts is how facts stand in a record: comparable, and the same for equal facts; "" if
// there are none.
func encodeFacts(f Facts) (string, error) {
	if f.DeviceID == nil && f.MRSystem == nil && f.MRAggregated == nil && f.OSImageHash == nil && f.KeyProviderInfo == nil && f.InitScriptHashes == nil {
		return "", nil
	}
	b, err := json.Marshal(newFactsBody(f))
	if err == nil && len(b) > maxFacts {
		err = fmt.Errorf("app info of %d bytes, the limit is %d", len(b), maxFacts)
	}
	return string(b), err
}

// decodeFacts reads what encodeFacts wrote.
func decodeFacts(text string) (Facts, error) {
	if len(text) > maxFacts {
		return Facts{}, fmt.Errorf("facts of %d bytes, the limit is %d", len(text), maxFacts)
	}
	var b factsBody
	if err := strictJSON([]byte(text), &b); err != nil {
		return Facts{}, fmt.Errorf("facts: %w", err)
	}
	return b.facts(), nil
}
