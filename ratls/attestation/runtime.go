package attestation

import (
	"errors"
	"fmt"
	"strings"
)

// A RuntimeEvent is an event that the system in the CVM, or later an application in it,
// measured into RTMR3. Its name and payload determine its digest: see Digest.
type RuntimeEvent struct {
	Name    string
	Payload []byte
	Format  Format
}

// A RuntimeLog is the list of events behind RTMR3, in order:
//
//	system-preparing, app-id, compose-hash, init-script-hash…, instance-id,
//	boot-mr-done,                          end of the boot-time part
//	os-image-hash, key-provider, storage-fs,
//	system-ready,                          end of the system's part
//	…                                      events of applications
//
// The log of a CVM that registers while it boots has no system-ready yet. Use the log only
// after Verify. Lookups ignore everything after the first system-ready: otherwise an
// application could add a second app-id.
type RuntimeLog []RuntimeEvent

// Names of events.
const (
	EventAppID          = "app-id"           // 20 bytes
	EventComposeHash    = "compose-hash"     // SHA-256 of the compose file
	EventInitScriptHash = "init-script-hash" // 32 bytes; up to 5 of them
	EventInstanceID     = "instance-id"      // 20 bytes, or none
	EventBootMRDone     = "boot-mr-done"     // empty
	EventOSImageHash    = "os-image-hash"    // 32 bytes, from the KMS
	EventKeyProvider    = "key-provider"     // JSON
	EventSystemReady    = "system-ready"     // empty
)

// ErrReplay refuses a log that does not replay to RTMR3 of the quote.
var ErrReplay = errors.New("event log does not replay to RTMR3 of the quote")

// ErrAmbiguous refuses a log with a colon in the name of a system event. FormatV1 hashes
// name ‖ ":" ‖ payload, so the sender of a log can move the border between the two to another
// colon and keep the digest: the event "key-provider" with a JSON payload would get another
// name, and the CVM would have no key provider. The names of the system have no colon. Names
// of applications may have one, and are never looked up.
var ErrAmbiguous = errors.New("system event has a colon in its name, so its payload is ambiguous")

// Verify checks that the whole log was measured into rtmr3, a register of a verified quote,
// and that the system's part of it is unambiguous. It computes all digests. The error wraps
// ErrReplay or ErrAmbiguous.
func (l RuntimeLog) Verify(rtmr3 [48]byte) error {
	if got := l.RTMR3(); got != rtmr3 {
		return fmt.Errorf("%w: %d events give %x, the quote has %x", ErrReplay, len(l), got[:8], rtmr3[:8])
	}
	for _, e := range l.System() {
		if e.Format == FormatV1 && strings.Contains(e.Name, ":") {
			return fmt.Errorf("%w: %q", ErrAmbiguous, e.Name)
		}
	}
	return nil
}

// RTMR3 returns the value of the register after these events.
func (l RuntimeLog) RTMR3() [48]byte {
	var rtmr [48]byte
	for _, e := range l {
		rtmr = extend(rtmr, e.Digest())
	}
	return rtmr
}

// System returns the part up to and including the first system-ready. Applications wrote the
// rest.
func (l RuntimeLog) System() RuntimeLog { return l.through(EventSystemReady) }

// BootTime returns the part up to and including the first boot-mr-done, which a KMS appraises
// before it issues keys. Without such an event it returns the whole log.
func (l RuntimeLog) BootTime() RuntimeLog { return l.through(EventBootMRDone) }

// Payload returns the payload of the first event with the name in the system's part, nil if
// there is none.
func (l RuntimeLog) Payload(name string) []byte {
	for _, e := range l.System() {
		if e.Name == name {
			return e.Payload
		}
	}
	return nil
}

// Payloads returns the payloads of all events with the name in the system's part.
func (l RuntimeLog) Payloads(name string) [][]byte {
	var all [][]byte
	for _, e := range l.System() {
		if e.Name == name {
			all = append(all, e.Payload)
		}
	}
	return all
}

func (l RuntimeLog) through(name string) RuntimeLog {
	for i, e := range l {
		if e.Name == name {
			return l[: i+1 : i+1]
		}
	}
	return l
}
