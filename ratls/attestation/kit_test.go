package attestation

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// fixture reads a file of real attestation data, which is kept beside the project.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "fixtures", name))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("real attestation data is missing: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// vectors reads a member of the file of exact values.
func vectors(t testing.TB, member string, into any) {
	t.Helper()
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(fixture(t, "derived/vectors.json"), &all); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(all[member], into); err != nil {
		t.Fatalf("%s: %v", member, err)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) == 0 {
		return nil
	}
	return b
}

// A quote's registers, by their offsets in one of version 4.
func registers(quote []byte) (rtmr [4][48]byte) {
	for i := range rtmr {
		rtmr[i] = [48]byte(quote[48+328+48*i:])
	}
	return rtmr
}

func reportDataOf(quote []byte) [64]byte { return [64]byte(quote[568:632]) }

// sample has something in each part that version 0 can hold.
func sample() *Attestation {
	return &Attestation{
		Quote: []byte("quote"),
		Events: []Event{
			{IMR: 0, Type: 10, Digest: digest(1), Name: "acpi-loader", Payload: []byte("loader")},
			{IMR: 1, Type: 4, Digest: digest(2), Payload: []byte{0, 0, 0, 0}},
			{IMR: 3, Type: RuntimeEventType, Digest: digest(3), Name: "app-id", Payload: []byte("app")},
		},
		RuntimeEvents: sampleLog(),
		ReportData:    [64]byte{1, 2, 3, 200},
		Config:        `{"os_image_hash":""}`,
	}
}

func sampleLog() RuntimeLog {
	return RuntimeLog{
		{Name: "app-id", Payload: []byte("app")},
		{Name: "compose-hash", Payload: []byte("compose")},
		{Name: "boot-mr-done"},
		{Name: "key-provider", Payload: []byte(`{"name":"kms"}`)},
		{Name: "system-ready"},
		{Name: "mine", Payload: []byte("payload")},
	}
}

// sampleV1 has something in each part that version 1 can hold.
func sampleV1() *Attestation {
	a := sample()
	a.Version = 1
	a.Events[2].Format = FormatV2
	a.Events[2].Digest = nil
	for i := range a.RuntimeEvents {
		a.RuntimeEvents[i].Format = FormatV2
	}
	a.Stack, a.PodPayload = StackPod, "pod"
	a.ReportData = ReportData(TagAppData, []byte("pod"))
	return a
}

func digest(b byte) []byte { return append(make([]byte, 47), b) }

func marshal(t testing.TB, a *Attestation) []byte {
	t.Helper()
	b, err := a.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func wantError(t testing.TB, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

// allocated is how many bytes of heap a call of f takes.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	f()
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
