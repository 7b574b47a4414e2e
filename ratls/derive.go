package ratls

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"sallyport/ratls/attestation"
	"sallyport/ratls/tdx"
)

// What evidence proves follows from three sources, which must have been checked before: the
// report of a verified quote, the log that replays to its RTMR3
// (attestation.RuntimeLog.Verify), and the platform's id (PPID) in the certificate that
// signed the quote. The fourth source, the config, is unchecked.

// ErrEvent refuses a system event whose payload does not have its required form.
var ErrEvent = errors.New("malformed system event")

// ErrOSImage refuses a config that names another OS image than the event log.
var ErrOSImage = errors.New("config and event log name different OS images")

// deriveAppInfo returns what runs in the CVM. A missing event leaves its value zero, as in
// dstack: a caller that needs an app id must check that there is one.
//
//	mr_key_provider = SHA-256(key-provider), zero if there is no such event
//	mr_system       = SHA-256(MRTD ‖ RTMR0 ‖ RTMR1 ‖ RTMR2 ‖ mr_key_provider)
//	mr_aggregated   = SHA-256(MRTD ‖ RTMR0 ‖ RTMR1 ‖ RTMR2 ‖ RTMR3
//	                  [‖ mr_config_id ‖ mr_owner ‖ mr_owner_config, if one is set])
//	device_id       = SHA-256(PPID)
//
// OSImageHash is from the config. If the log has one (which the KMS sent to the guest), the
// two must agree; if not, only the measured registers determine the image. With
// log.BootTime() the result is what a KMS sees.
func deriveAppInfo(td *tdx.Report, log attestation.RuntimeLog, ppid []byte, config vmConfig) (AppInfo, error) {
	info := AppInfo{
		DeviceID:        sha256.Sum256(ppid),
		MRSystem:        mrSystem(td, log.Payload(attestation.EventKeyProvider)),
		MRAggregated:    mrAggregated(td, log.RTMR3()),
		OSImageHash:     config.OSImageHash,
		KeyProviderInfo: bytes.Clone(log.Payload(attestation.EventKeyProvider)),
	}
	if n := len(info.KeyProviderInfo); n > maxKeyProviderInfo {
		return AppInfo{}, fmt.Errorf("%w: %s: %d bytes, want at most %d", ErrEvent, attestation.EventKeyProvider, n, maxKeyProviderInfo)
	}
	var osImage Hash
	for _, e := range []struct {
		name string
		into []byte
	}{
		{attestation.EventAppID, info.AppID[:]},
		{attestation.EventComposeHash, info.ComposeHash[:]},
		{attestation.EventInstanceID, info.InstanceID[:]},
		{attestation.EventOSImageHash, osImage[:]},
	} {
		if err := copyEvent(e.into, e.name, log.Payload(e.name)); err != nil {
			return AppInfo{}, err
		}
	}
	if !osImage.IsZero() && !config.OSImageHash.IsZero() && osImage != config.OSImageHash {
		return AppInfo{}, fmt.Errorf("%w: %s and %s", ErrOSImage, config.OSImageHash, osImage)
	}
	var err error
	if info.InitScriptHashes, err = initScripts(log); err != nil {
		return AppInfo{}, err
	}
	return info, nil
}

func initScripts(log attestation.RuntimeLog) ([]Hash, error) {
	const name = attestation.EventInitScriptHash
	payloads := log.Payloads(name)
	if len(payloads) > maxInitScripts {
		return nil, fmt.Errorf("%w: %d of %s, want at most %d", ErrEvent, len(payloads), name, maxInitScripts)
	}
	hashes := make([]Hash, len(payloads))
	for i, payload := range payloads {
		if err := copyEvent(hashes[i][:], name, payload); err != nil {
			return nil, err
		}
	}
	return hashes, nil
}

// copyEvent copies a payload of exactly the length of into, or an empty one.
func copyEvent(into []byte, name string, payload []byte) error {
	if len(payload) != 0 && len(payload) != len(into) {
		return fmt.Errorf("%w: %s: %d bytes, want %d", ErrEvent, name, len(payload), len(into))
	}
	copy(into, payload)
	return nil
}

func mrSystem(td *tdx.Report, keyProvider []byte) Hash {
	var mrKeyProvider Hash
	if len(keyProvider) > 0 {
		mrKeyProvider = sha256.Sum256(keyProvider)
	}
	return sha256.Sum256(append(bootMeasurements(td), mrKeyProvider[:]...))
}

func mrAggregated(td *tdx.Report, rtmr3 [48]byte) Hash {
	b := append(bootMeasurements(td), rtmr3[:]...)
	var unset [48]byte
	if td.MRConfigID != unset || td.MROwner != unset || td.MROwnerConfig != unset {
		b = append(b, td.MRConfigID[:]...)
		b = append(b, td.MROwner[:]...)
		b = append(b, td.MROwnerConfig[:]...)
	}
	return sha256.Sum256(b)
}

// bootMeasurements returns the registers of firmware and kernel.
func bootMeasurements(td *tdx.Report) []byte {
	b := make([]byte, 0, 8*len(td.MRTD))
	b = append(b, td.MRTD[:]...)
	for _, rtmr := range td.RTMR[:3] {
		b = append(b, rtmr[:]...)
	}
	return b
}
