package tdxpki

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// A Boot is what dstack measures into RTMR3 while a machine starts.
type Boot struct {
	AppID       []byte // 20
	ComposeHash []byte // 32
	InitScripts [][]byte
	InstanceID  []byte // 20, or none
	OSImageHash []byte // 32
	KeyProvider string // JSON
	StorageFS   string
}

// Log is the whole log of a machine that has started: firmware, kernel, and
// dstack's events in their order, with digests of version 1 or 2.
func (p *PKI) Log(b Boot, version int) Log {
	event := RuntimeEvent
	if version == 2 {
		event = RuntimeEventV2
	}
	l := append(p.firmware(), event("system-preparing", nil), event("app-id", b.AppID), event("compose-hash", b.ComposeHash))
	for _, hash := range b.InitScripts {
		l = append(l, event("init-script-hash", hash))
	}
	return append(l,
		event("instance-id", b.InstanceID),
		event("boot-mr-done", nil),
		event("os-image-hash", b.OSImageHash),
		event("key-provider", []byte(b.KeyProvider)),
		event("storage-fs", []byte(b.StorageFS)),
		event("system-ready", nil))
}

// KMSProvider is the payload of the key-provider event of a machine whose keys
// come from the KMS with this root key, a SubjectPublicKeyInfo.
func KMSProvider(spki []byte) string {
	return fmt.Sprintf(`{"name":"kms","id":"%s"}`, hex.EncodeToString(spki))
}

// firmware is the log of RTMR0 to RTMR2, of the kinds and in the order of
// dstack's image. What the digests are of is not in it, as little as in a real one.
func (p *PKI) firmware() Log {
	// The firmware (OVMF) names the volume that it measures by a GUID of the letter X.
	maskedGUID := strings.ReplaceAll("00000000-0000-0000-0000-000000000000", "0", "X")
	const variable, bootVariable, blob, application, action = 0x80000001, 0x80000002, 0x8000000a, 0x80000003, 0x80000007
	events := []struct {
		imr, kind     uint32
		name, payload string
	}{
		{0, 0x8000000b, "", "\tTdxTable"},
		{0, blob, "", ")Fv" + maskedGUID + ")"},
		{0, ACPIEventType, "", "QEMU FW CFG BootMenu"},
		{0, ACPIEventType, "", "QEMU FW CFG bootorder"},
		{0, variable, "", "SecureBoot"},
		{0, variable, "", "PK"},
		{0, variable, "", "KEK"},
		{0, variable, "", "db"},
		{0, variable, "", "dbx"},
		{0, 4, "", "\x00\x00\x00\x00"},
		{0, ACPIEventType, "acpi-loader", "etc/table-loader"},
		{0, ACPIEventType, "acpi-rsdp", "etc/acpi/rsdp"},
		{0, ACPIEventType, "acpi-tables", "etc/acpi/tables"},
		{1, application, "", "kernel"},
		{0, bootVariable, "", "BootOrder"},
		{0, bootVariable, "", "Boot0000"},
		{1, action, "", "Calling EFI Application from Boot Option"},
		{1, 4, "", "\x00\x00\x00\x00"},
		{2, 6, "", "LOADED_IMAGE::LoadOptions"},
		{2, 6, "", "Linux initrd"},
		{1, action, "", "Exit Boot Services Invocation"},
		{1, action, "", "Exit Boot Services Returned with Success"},
	}
	var l Log
	for i, e := range events {
		d := p.measurement(fmt.Sprint("boot event ", i))
		l = append(l, Event{IMR: e.imr, Type: e.kind, Digest: d[:], Name: e.name, Payload: Bytes(e.payload)})
	}
	return l
}
