package tdxpki

import (
	"bytes"
	"crypto/sha256"
)

// AppInfo is what a KMS says of a machine, and what a machine's evidence proves.
type AppInfo struct {
	AppID            []byte
	ComposeHash      []byte
	InstanceID       []byte
	DeviceID         []byte
	MRSystem         []byte
	MRAggregated     []byte
	OSImageHash      []byte
	KeyProviderInfo  []byte
	InitScriptHashes [][]byte
}

// Derive is the app info of a TD with this log. The OS image's hash is in neither,
// but in the machine's configuration. The device id is the one of a KMS, which
// does not look at the PCK: the hash of nothing. [PCK.DeviceID] is what evidence proves.
func Derive(td *TDReport, l Log, osImageHash []byte) AppInfo {
	provider := l.First("key-provider")
	providerHash := make([]byte, 32)
	if len(provider) > 0 {
		providerHash = sum(provider)
	}
	boot := bytes.Join([][]byte{td.MRTD[:], td.RTMR[0][:], td.RTMR[1][:], td.RTMR[2][:]}, nil)
	aggregated := bytes.Join([][]byte{boot, td.RTMR[3][:]}, nil)
	config := bytes.Join([][]byte{td.MRConfigID[:], td.MROwner[:], td.MROwnerConfig[:]}, nil)
	if !bytes.Equal(config, make([]byte, len(config))) {
		aggregated = append(aggregated, config...)
	}
	a := AppInfo{
		AppID: l.First("app-id"), ComposeHash: l.First("compose-hash"), InstanceID: l.First("instance-id"),
		DeviceID: sum(nil), MRSystem: sum(append(boot, providerHash...)), MRAggregated: sum(aggregated),
		OSImageHash: osImageHash, KeyProviderInfo: provider,
	}
	for _, e := range l.Runtime() {
		if e.Name == "system-ready" {
			break
		}
		if e.Name == "init-script-hash" {
			a.InitScriptHashes = append(a.InitScriptHashes, e.Payload)
		}
	}
	return a
}

// DeviceID names a machine by its PCK certificate.
func (k PCK) DeviceID() []byte { return sum(k.PPID[:]) }

// Marshal encodes the nine fields of dstack 0.6.
func (a AppInfo) Marshal() []byte {
	b := a.appendFields(appendArray(nil, 9))
	b = appendArray(b, len(a.InitScriptHashes))
	for _, hash := range a.InitScriptHashes {
		b = appendBin(b, hash)
	}
	return b
}

// MarshalOld encodes the eight fields of dstack 0.5.
func (a AppInfo) MarshalOld() []byte { return a.appendFields(appendArray(nil, 8)) }

func (a AppInfo) appendFields(b []byte) []byte {
	for _, field := range [][]byte{
		a.AppID, a.ComposeHash, a.InstanceID, a.DeviceID, a.MRSystem, a.MRAggregated, a.OSImageHash, a.KeyProviderInfo,
	} {
		b = appendBin(b, field)
	}
	return b
}

func sum(b []byte) []byte {
	s := sha256.Sum256(b)
	return s[:]
}
