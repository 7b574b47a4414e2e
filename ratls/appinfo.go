package ratls

import (
	"errors"
	"fmt"

	"sallyport/ratls/internal/msgpack"
)

// AppInfo says what runs in a CVM. It is in extension .9 of a certificate, written by the
// authority that checked the evidence of the CVM when it signed: a verifier that trusts the
// authority does not need the evidence.
//
// Its JSON is the one that dstack sends to its authorisation webhook.
type AppInfo struct {
	AppID       AppID      `json:"app_id"`
	ComposeHash Hash       `json:"compose_hash"` // of the app's compose file
	InstanceID  InstanceID `json:"instance_id"`  // zero: the app's CVMs have no ids
	// DeviceID is the SHA-256 of the processor's id (PPID). A KMS of dstack writes the
	// SHA-256 of the empty string: it has verified the id, but does not pass it on.
	DeviceID     Hash `json:"device_id"`
	MRSystem     Hash `json:"mr_system"`     // of the virtual hardware, firmware, kernel and key provider
	MRAggregated Hash `json:"mr_aggregated"` // of all measurements
	OSImageHash  Hash `json:"os_image_hash"` // zero: not known
	// KeyProviderInfo is a JSON text of at most 4 KiB that names the source of the
	// CVM's keys.
	KeyProviderInfo Bytes `json:"key_provider_info"`
	// InitScriptHashes are the hashes of at most 5 scripts. Nil means that the CVM does
	// not report them (dstack 0.5.11 and older), empty that it has none.
	InitScriptHashes []Hash `json:"init_script_hashes"`
}

const (
	maxAppInfo         = 16 << 10 // a payload; the largest well-formed one, with bytes as arrays, is under 10 KiB
	maxKeyProviderInfo = 4 << 10  // some hundred bytes in practice
	maxInitScripts     = 5
)

// The fields in the order of the array form, with their names in the map form.
var appInfoFields = [...]string{
	"app_id", "compose_hash", "instance_id", "device_id", "mr_system",
	"mr_aggregated", "os_image_hash", "key_provider_info", "init_script_hashes",
}

// ParseAppInfo reads the payload of an extension: a MessagePack array of 8 or 9 values, or
// a map with their names. It returns nil and no error if the payload is MessagePack's nil,
// which means that there is no app info. It keeps nothing of b and may be called
// concurrently.
func ParseAppInfo(b []byte) (*AppInfo, error) {
	info, err := parseAppInfo(b)
	if err != nil {
		return nil, fmt.Errorf("app info: %w", err)
	}
	return info, nil
}

// Marshal returns the payload of an extension: an array of 9 values. It returns an error
// if ParseAppInfo would refuse the result.
func (a *AppInfo) Marshal() ([]byte, error) {
	switch {
	case a.AppID.IsZero():
		return nil, errors.New("app info: app_id: all zero")
	case len(a.KeyProviderInfo) > maxKeyProviderInfo:
		return nil, fmt.Errorf("app info: key_provider_info: %d bytes, want at most %d", len(a.KeyProviderInfo), maxKeyProviderInfo)
	case len(a.InitScriptHashes) > maxInitScripts:
		return nil, fmt.Errorf("app info: init_script_hashes: %d, want at most %d", len(a.InitScriptHashes), maxInitScripts)
	}
	b := msgpack.AppendArray(nil, len(appInfoFields))
	b = msgpack.AppendBin(b, a.AppID[:])
	b = msgpack.AppendBin(b, a.ComposeHash[:])
	b = msgpack.AppendBin(b, orEmpty(a.InstanceID[:], a.InstanceID.IsZero()))
	b = msgpack.AppendBin(b, a.DeviceID[:])
	b = msgpack.AppendBin(b, a.MRSystem[:])
	b = msgpack.AppendBin(b, a.MRAggregated[:])
	b = msgpack.AppendBin(b, orEmpty(a.OSImageHash[:], a.OSImageHash.IsZero()))
	b = msgpack.AppendBin(b, a.KeyProviderInfo)
	if a.InitScriptHashes == nil {
		return msgpack.AppendNil(b), nil
	}
	b = msgpack.AppendArray(b, len(a.InitScriptHashes))
	for _, h := range a.InitScriptHashes {
		b = msgpack.AppendBin(b, h[:])
	}
	return b, nil
}

func parseAppInfo(b []byte) (*AppInfo, error) {
	if len(b) > maxAppInfo {
		return nil, fmt.Errorf("%d bytes, want at most %d", len(b), maxAppInfo)
	}
	r := msgpack.NewReader(b)
	info := &AppInfo{}
	var err error
	switch {
	case r.Nil():
		info = nil
	case r.IsMap():
		err = r.Struct(appInfoFields[:], optionalField, func(i int) error { return info.readField(r, i) })
	default:
		err = info.readArray(r)
	}
	if err == nil {
		err = r.End()
	}
	if err != nil {
		return nil, err
	}
	return info, nil
}

// optionalField is the last of the fields: the form of dstack 0.5.11 ends before it.
const optionalField = len(appInfoFields) - 1

func (a *AppInfo) readArray(r *msgpack.Reader) error {
	n, err := r.Array()
	if err != nil {
		return err
	}
	if n < optionalField || n > len(appInfoFields) {
		return fmt.Errorf("%d fields, want 8 or 9", n)
	}
	for i := range n {
		if err := a.readField(r, i); err != nil {
			return fmt.Errorf("%s: %w", appInfoFields[i], err)
		}
	}
	return nil
}

func (a *AppInfo) readField(r *msgpack.Reader, i int) (err error) {
	switch appInfoFields[i] {
	case "app_id":
		if err = readFixed(r, a.AppID[:], false); err == nil && a.AppID.IsZero() {
			err = errZero
		}
	case "compose_hash":
		err = readFixed(r, a.ComposeHash[:], false)
	case "instance_id":
		err = readFixed(r, a.InstanceID[:], true)
	case "device_id":
		err = readFixed(r, a.DeviceID[:], false)
	case "mr_system":
		err = readFixed(r, a.MRSystem[:], false)
	case "mr_aggregated":
		err = readFixed(r, a.MRAggregated[:], false)
	case "os_image_hash":
		err = readFixed(r, a.OSImageHash[:], true)
	case "key_provider_info":
		a.KeyProviderInfo, err = r.Bytes(maxKeyProviderInfo)
	case "init_script_hashes":
		a.InitScriptHashes, err = readHashes(r)
	}
	return err
}

// readFixed fills dst with bytes of exactly its length, or leaves it when there
// are none and that is allowed.
func readFixed(r *msgpack.Reader, dst []byte, emptyToo bool) error {
	b, err := r.Bytes(len(dst))
	if err != nil {
		return err
	}
	if len(b) != len(dst) && (len(b) != 0 || !emptyToo) {
		return fmt.Errorf("%d bytes, want %d", len(b), len(dst))
	}
	copy(dst, b)
	return nil
}

func readHashes(r *msgpack.Reader) ([]Hash, error) {
	if r.Nil() {
		return nil, nil
	}
	n, err := r.Array()
	if err != nil {
		return nil, err
	}
	if n > maxInitScripts {
		return nil, fmt.Errorf("%d, want at most %d", n, maxInitScripts)
	}
	hashes := make([]Hash, n)
	for i := range hashes {
		if err := readFixed(r, hashes[i][:], false); err != nil {
			return nil, err
		}
	}
	return hashes, nil
}

func orEmpty(b []byte, empty bool) []byte {
	if empty {
		return nil
	}
	return b
}
