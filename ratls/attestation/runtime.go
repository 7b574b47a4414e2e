package attestation

import (
	"errors"
	"fmt"
	"strings"
)

// A RuntimeEvent is one that the system in the machine, or later an application
// in it, measured into RTMR3. Its digest follows from its name and payload: see Digest.
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
//	…                                      whatever applications want
//
// A machine that registers while it boots has no system-ready yet. The log is
// believed after Verify, and no lookup sees what follows the first system-ready:
// else an application could add a second app-id.
type RuntimeLog []RuntimeEvent

// Names of events.
const (
	EventAppID          = "app-id"           // 20 bytes
	EventComposeHash    = "compose-hash"     // SHA-256 of the compose file
	EventInitScriptHash = "init-script-hash" // 32 bytes; up to 5 of them
	EventInstanceID     = "instance-id"      // 20 bytes, or none
	EventBootMRDone     = "boot-mr-done"     // empty
	EventOSImageHash    = "os-image-hash"    // 32 bytes, as the KMS told the guest
	EventKeyProvider    = "key-provider"     // JSON
	EventSystemReady    = "system-ready"     // empty
)

// ErrReplay refuses a log that is not the one behind RTMR3.
var ErrReplay = errors.New("event log does not replay to RTMR3 of the quote")

// ErrAmbiguous refuses a log with a colon in the name of one of the system's
// events. FormatV1 hashes name ‖ ":" ‖ payload, so a stranger who shows a log may
// move the border between the two to another colon and keep the digest: the event
// "key-provider" with a JSON payload would be one of another name, and the machine
// one without a key provider. The system's own names have no colon. An application's
// may, and are not looked up.
var ErrAmbiguous = errors.New("system event has a colon in its name, so its payload is ambiguous")

// Verify checks that the whole log is what was measured into rtmr3, a register
// of a verified quote, and that its system's part can be read in one way only.
// Digests are recomputed.
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

// RTMR3 is what the register must be after these events.
func (l RuntimeLog) RTMR3() [48]byte {
	var rtmr [48]byte
	for _, e := range l {
		rtmr = extend(rtmr, e.Digest())
	}
	return rtmr
}

// System is the part up to the first system-ready, which is in it. The rest was
// written by applications.
func (l RuntimeLog) System() RuntimeLog { return l.through(EventSystemReady) }

// BootTime is the part up to the first boot-mr-done, which is in it: what a KMS
// judges before it gives out keys. Without such an event it is the whole log.
func (l RuntimeLog) BootTime() RuntimeLog { return l.through(EventBootMRDone) }

// Payload is that of the first event with the name in the system's part, empty
// if there is none.
func (l RuntimeLog) Payload(name string) []byte {
	for _, e := range l.System() {
		if e.Name == name {
			return e.Payload
		}
	}
	return nil
}

// Payloads are those of all events with the name in the system's part.
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
