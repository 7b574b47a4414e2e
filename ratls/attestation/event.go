package attestation

import (
	"crypto/sha512"
	"errors"
	"fmt"
	"unicode/utf8"
)

// A measurement register (RTMR) of a TD is 48 bytes that can only be extended:
//
//	RTMR = SHA-384(RTMR ‖ digest)      Intel TDX module, TDG.MR.RTMR.EXTEND
//
// so its value in a quote proves a list of digests to those who have the list. An event is
// one entry of that list with a description. For RTMR0 to RTMR2 the description cannot be
// checked against the digest without the rules of the TCG, and this package does not use it.
// For RTMR3 it can: see RuntimeEvent.

// An Event is one entry of the platform's event log.
type Event struct {
	Type    uint32 // of the TCG, or RuntimeEventType
	IMR     uint8  // which RTMR, 0 to 3
	Format  Format // only of RTMR3
	Digest  []byte // SHA-384; may be empty in RTMR3, where it can be computed
	Name    string // empty for most events of RTMR0–2
	Payload []byte
}

// RuntimeEventType is the type of dstack's own events, and only theirs.
const RuntimeEventType = 0x08000001

// runtimeIMR is the register that dstack's own events extend, and only they.
const runtimeIMR = 3

// Bounds of a log. An application may add events, so there is more room than the system
// needs. A payload is not longer than a certificate can carry.
const (
	maxEvents  = 16384
	maxName    = 1 << 10
	maxPayload = 256 << 10
)

// ErrStripped means that a register cannot be replayed because the log lacks a digest.
var ErrStripped = errors.New("event log is stripped: the register cannot be replayed")

// ReplayBoot returns the value of RTMR imr, 0 to 2, after the listed digests of the events.
// It is meaningful only for a full log: for one that was stripped for a certificate it
// returns another value, or an error that wraps ErrStripped.
func ReplayBoot(events []Event, imr uint8) ([48]byte, error) {
	if imr >= runtimeIMR {
		return [48]byte{}, fmt.Errorf("replay of RTMR%d by listed digests: want RTMR0 to RTMR2", imr)
	}
	var rtmr [48]byte
	for _, e := range events {
		switch {
		case e.IMR != imr:
		case len(e.Digest) != len(rtmr):
			return [48]byte{}, fmt.Errorf("RTMR%d: %w", imr, ErrStripped)
		default:
			rtmr = extend(rtmr, [48]byte(e.Digest))
		}
	}
	return rtmr, nil
}

func extend(rtmr, digest [48]byte) [48]byte {
	var both [96]byte
	copy(both[:48], rtmr[:])
	copy(both[48:], digest[:])
	return sha512.Sum384(both[:])
}

// check refuses events that an honest log cannot contain. dstack's events are exactly those
// of RTMR3, so that a reader of the log can use either.
func (e *Event) check() error {
	switch {
	case e.IMR > runtimeIMR:
		return fmt.Errorf("imr %d, want at most %d", e.IMR, runtimeIMR)
	case (e.IMR == runtimeIMR) != (e.Type == RuntimeEventType):
		return fmt.Errorf("type 0x%08x in RTMR%d: want dstack's events (0x%08x) in RTMR3, and only there", e.Type, e.IMR, RuntimeEventType)
	case e.Format != FormatV1 && e.IMR != runtimeIMR:
		return fmt.Errorf("format 2 in RTMR%d: want it only in RTMR3", e.IMR)
	case len(e.Digest) != 0 && len(e.Digest) != sha512.Size384:
		return fmt.Errorf("digest: %d bytes, want none or %d", len(e.Digest), sha512.Size384)
	}
	return checkStory(e.Name, e.Payload)
}

func checkStory(name string, payload []byte) error {
	switch {
	case len(name) > maxName:
		return fmt.Errorf("event: %w", tooLong(len(name), maxName))
	case !utf8.ValidString(name):
		return errors.New("event: not UTF-8")
	case len(payload) > maxPayload:
		return fmt.Errorf("payload: %w", tooLong(len(payload), maxPayload))
	}
	return nil
}
