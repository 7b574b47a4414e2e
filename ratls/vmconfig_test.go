package ratls

import (
	"reflect"
	"strings"
	"testing"
)

const (
	imageHex = "14ad42d0270b444eaeb53918a5a94d9b17eec7a817cd336173b17c5327541c67"
	// A host's config around a machine's.
	nestedConfig = `{"kms_urls":["https://kms"],"vm_config":"{\"cpu_count\":8,\"os_image_hash\":\"` + imageHex + `\",\"mr_config\":\"{}\"}","x":{"y":[null]}}`
)

func imageHash(t testing.TB) Hash {
	t.Helper()
	h, err := ParseHash(imageHex)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestVMConfigStandsAloneOrInTheHostsConfig(t *testing.T) {
	both := vmConfig{OSImageHash: imageHash(t), MRConfig: "{}"}
	for text, want := range map[string]vmConfig{
		"":           {},
		"{}":         {},
		nestedConfig: both,
		`{"os_image_hash":"` + imageHex + `","mr_config":"{}"}`: both,
		`{"os_image_hash":""}`:                               {},
		`{"os_image_hash":null}`:                             {},
		`{"vm_config":null,"mr_config":"d"}`:                 {MRConfig: "d"},
		`{"vm_config":"{}"}`:                                 {},
		`{"OS_IMAGE_HASH":7,"Os_image_hash":"x"}`:            {}, // other names
		`{"vm_config":"{\"vm_config\":\"{}\"}"}`:             {}, // one level
		`{"mr_config":"{\"app_id\":\"` + "\\u0061" + `\"}"}`: {MRConfig: `{"app_id":"a"}`},
	} {
		if got, err := parseVMConfig(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
	}
}

func TestBadVMConfigIsRefused(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{" ", "ends too early"},
		{"[]", "not a JSON object"},
		{`"{}"`, "not a JSON object"},
		{`{"a":1`, "ends too early"},
		{`{"a":}`, "not JSON"},
		{`{"a" 1}`, "not JSON"},
		{`{} {}`, "bytes after the end"},
		{`{}x`, "bytes after the end"},
		{`{"os_image_hash":1}`, "os_image_hash: not a string"},
		{`{"os_image_hash":"abc"}`, "os_image_hash: 3 characters, want 64 hex digits"},
		{`{"os_image_hash":"` + strings.Repeat("g", 64) + `"}`, "os_image_hash: not hex"},
		{`{"os_image_hash":"","os_image_hash":""}`, "os_image_hash: appears twice"},
		{`{"vm_config":{}}`, "vm_config: not a string"},
		{`{"vm_config":""}`, "vm_config: ends too early"},
		{`{"vm_config":"[]"}`, "vm_config: not a JSON object"},
		{`{"vm_config":"{}","os_image_hash":"` + imageHex + `"}`, "vm_config beside the values it should contain"},
		{strings.Repeat(" ", maxVMConfig) + "{}", "65538 bytes, want at most 65536"},
	} {
		got, err := parseVMConfig(c.in)
		if got != (vmConfig{}) {
			t.Errorf("%.40s: read %+v", c.in, got)
		}
		wantError(t, err, "vm config: "+c.want)
	}
}

func TestVMConfigTakesLittleMemory(t *testing.T) {
	for why, text := range map[string]string{
		"nested":       nestedConfig,
		"many members": "{" + strings.Repeat(`"":0,`, 10000) + `"":0}`,
		"deep":         `{"x":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + "}",
		"long":         `{"mr_config":"` + strings.Repeat("x", 60000) + `"}`,
	} {
		used := allocated(func() { _, _ = parseVMConfig(text) })
		if limit := uint64(64*len(text) + 1024); used > limit {
			t.Errorf("%s: %d bytes allocated for %d, want at most %d", why, used, len(text), limit)
		}
	}
}

func FuzzParseVMConfig(f *testing.F) {
	f.Add(nestedConfig)
	f.Add(`{"os_image_hash":"` + imageHex + `","mr_config":"{\"app_id\":\"\u0061\"}"}`)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseVMConfig(text)
		if err != nil && !reflect.DeepEqual(c, vmConfig{}) {
			t.Fatalf("%+v with error %v", c, err)
		}
		if len(c.MRConfig) > 3*len(text) { // U+FFFD for a byte that is not UTF-8
			t.Fatalf("%d bytes of %d", len(c.MRConfig), len(text))
		}
		if form, err := checkMRConfigID([48]byte{3, 33: 0}, testInfo(), text); err == nil && text != "" {
			t.Fatalf("%q is the document of a sum of zeros, form %d", text, form)
		}
	})
}
