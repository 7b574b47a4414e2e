package ratls

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sallyport/ratls/internal/msgpack"
)

func marshal(t testing.TB, a *AppInfo) []byte {
	t.Helper()
	b, err := a.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAppInfoSurvivesItsEncoding(t *testing.T) {
	full := testInfo()
	for name, change := range map[string]func(*AppInfo){
		"everything":                func(*AppInfo) {},
		"no instance id":            func(a *AppInfo) { a.InstanceID = InstanceID{} },
		"unknown OS image":          func(a *AppInfo) { a.OSImageHash = Hash{} },
		"no key provider":           func(a *AppInfo) { a.KeyProviderInfo = nil },
		"long key provider":         func(a *AppInfo) { a.KeyProviderInfo = bytes.Repeat([]byte{'k'}, maxKeyProviderInfo) },
		"init scripts not reported": func(a *AppInfo) { a.InitScriptHashes = nil },
		"no init scripts":           func(a *AppInfo) { a.InitScriptHashes = []Hash{} },
		"five init scripts":         func(a *AppInfo) { a.InitScriptHashes = make([]Hash, 5) },
	} {
		want := *full
		change(&want)
		got, err := ParseAppInfo(marshal(t, &want))
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
		}
	}
}

func TestAppInfoOfOldGuestsHasEightFields(t *testing.T) {
	want := testInfo()
	want.InitScriptHashes = nil
	b := marshal(t, want)
	b = b[:len(b)-1] // the nil of the ninth
	b[0] = msgpack.FixArray | 8
	got, err := ParseAppInfo(b)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

func TestAppInfoMayBeNil(t *testing.T) {
	if got, err := ParseAppInfo([]byte{msgpack.Nil}); got != nil || err != nil {
		t.Errorf("%+v, %v, want none", got, err)
	}
}

// Each of the forms in which serde writes the same app info.
func TestAppInfoFormsAreEqual(t *testing.T) {
	want := testInfo()
	plain := appendAppInfo(nil, want, asArray, msgpack.AppendBin)
	if !bytes.Equal(plain, marshal(t, want)) {
		t.Fatalf("the encoder of this test is wrong: %x", plain)
	}
	bin16 := func(to, b []byte) []byte { return append(append(to, msgpack.Bin16, 0, byte(len(b))), b...) }
	bin32 := func(to, b []byte) []byte { return append(append(to, msgpack.Bin32, 0, 0, 0, byte(len(b))), b...) }
	for name, b := range map[string][]byte{
		"array of integers": appendAppInfo(nil, want, asArray, msgpack.AppendInts),
		"long array head":   append([]byte{msgpack.Array16, 0, 9}, plain[1:]...),
		"longer array head": append([]byte{msgpack.Array32, 0, 0, 0, 9}, plain[1:]...),
		"bin16":             appendAppInfo(nil, want, asArray, bin16),
		"bin32":             appendAppInfo(nil, want, asArray, bin32),
		"map":               appendAppInfo(nil, want, asMap, msgpack.AppendBin),
		"map of integers":   appendAppInfo(nil, want, asMap, msgpack.AppendInts),
	} {
		got, err := ParseAppInfo(b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
		}
	}
}

func TestAppInfoMapMayLackInitScripts(t *testing.T) {
	want := testInfo()
	want.InitScriptHashes = nil
	b := appendAppInfo(nil, want, asMap, msgpack.AppendBin)
	b[0]-- // one pair less
	got, err := ParseAppInfo(b[:len(b)-len("\xb2init_script_hashes\xc0")])
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

func TestBadAppInfoIsRefused(t *testing.T) {
	good := marshal(t, testInfo())
	edit := func(from, to string) []byte {
		if !bytes.Contains(good, []byte(from)) {
			t.Fatalf("nothing to replace: %x", from)
		}
		return bytes.Replace(good, []byte(from), []byte(to), 1)
	}
	id := string(testApp[:])
	asMapped := appendAppInfo(nil, testInfo(), asMap, msgpack.AppendBin)
	for _, c := range []struct {
		why  string
		b    []byte
		want string
	}{
		{"nothing", nil, "ends too early"},
		{"not a container", []byte{0x01}, "0x01, want an array"},
		{"byte that begins no value", []byte{0xc1}, "0xc1, want an array"},
		{"7 fields", append([]byte{msgpack.FixArray | 7}, good[1:]...), "7 fields, want 8 or 9"},
		{"10 fields", append([]byte{msgpack.FixArray | 10}, good[1:]...), "10 fields, want 8 or 9"},
		{"trailing byte", append(slices.Clone(good), 0), "bytes after the end"},
		{"trailing byte after nil", []byte{msgpack.Nil, msgpack.Nil}, "bytes after the end"},
		{"short app id", edit("\xc4\x14"+id, "\xc4\x13"+id[:19]), "app_id: 19 bytes, want 20"},
		{"long app id", edit("\xc4\x14"+id, "\xc4\x15"+id+"x"), "app_id: 21 bytes, want at most 20"},
		{"empty app id", edit("\xc4\x14"+id, "\xc4\x00"), "app_id: 0 bytes, want 20"},
		{"zero app id", edit(id, strings.Repeat("\x00", 20)), "app_id: all zero"},
		{"nil app id", edit("\xc4\x14"+id, "\xc0"), "app_id: bytes: 0xc0, want an array"},
		{"app id as text", edit("\xc4\x14"+id, "\xb4"+id), "app_id: bytes: 0xb4, want an array"},
		{"app id of large integers", edit("\xc4\x14"+id, "\xdc\x00\x14\xcd\x01\x00"+strings.Repeat("\x01", 19)), "app_id: 0xcd, want a byte"},
		{"too many integers", edit("\xc4\x14"+id, "\xdc\x00\x15"+strings.Repeat("\x01", 21)), "app_id: 21 bytes, want at most 20"},
		{"half an instance id", edit("\xc4\x14"+string(testInstance[:]), "\xc4\x0a"+string(testInstance[:10])), "instance_id: 10 bytes, want 20"},
		{"six init scripts", edit("\x92\xc4\x20\x06", "\x96\xc4\x20\x06"), "init_script_hashes: 6, want at most 5"},
		{"key provider too long", appendAppInfo(nil, longKeyProvider(), asArray, msgpack.AppendBin), "key_provider_info: 4097 bytes, want at most 4096"},
		{"payload too long", make([]byte, maxAppInfo+1), "16385 bytes, want at most 16384"},
		{"unknown name", bytes.Replace(asMapped, []byte("device_id"), []byte("device_ID"), 1), "unknown field"},
		{"name twice", bytes.Replace(asMapped, []byte("mr_system"), []byte("device_id"), 1), "device_id: appears twice"},
		{"name missing", append([]byte{msgpack.FixMap | 1}, asMapped[1:1+7+22]...), "compose_hash: is missing"},
		{"name is bytes", append([]byte{msgpack.FixMap | 1, msgpack.Bin8, 6}, "app_id\xc0"...), "name: 0xc4, want a string"},
	} {
		got, err := ParseAppInfo(c.b)
		if err == nil || got != nil || !strings.Contains(err.Error(), "app info: "+c.want) {
			t.Errorf("%s: %+v, %v, want error %q", c.why, got, err, c.want)
		}
	}
}

func longKeyProvider() *AppInfo {
	a := testInfo()
	a.KeyProviderInfo = make([]byte, maxKeyProviderInfo+1)
	return a
}

func TestTruncatedAppInfoIsRefused(t *testing.T) {
	for _, b := range [][]byte{
		appendAppInfo(nil, testInfo(), asArray, msgpack.AppendBin),
		appendAppInfo(nil, testInfo(), asArray, msgpack.AppendInts),
		appendAppInfo(nil, testInfo(), asMap, msgpack.AppendBin),
	} {
		for n := range b {
			if got, err := ParseAppInfo(b[:n]); err == nil || got != nil {
				t.Errorf("first %d of %d bytes: %+v, %v, want an error", n, len(b), got, err)
			}
		}
	}
}

func TestAppInfoThatNobodyWouldReadIsNotWritten(t *testing.T) {
	noApp, scripts := testInfo(), testInfo()
	noApp.AppID = AppID{}
	scripts.InitScriptHashes = make([]Hash, 6)
	for want, a := range map[string]*AppInfo{
		"app_id: all zero":                      noApp,
		"key_provider_info: 4097 bytes":         longKeyProvider(),
		"init_script_hashes: 6, want at most 5": scripts,
	} {
		b, err := a.Marshal()
		if b != nil {
			t.Errorf("%s: wrote %x", want, b)
		}
		wantError(t, err, want)
	}
}

func TestAppInfoAsTheWebhookGetsIt(t *testing.T) {
	info := testInfo()
	info.OSImageHash, info.InitScriptHashes = Hash{}, nil
	got, err := json.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	zeros := strings.Repeat("00", 31)
	want := `{"app_id":"` + testApp.String() + `","compose_hash":"01` + zeros + `","instance_id":"` + testInstance.String() +
		`","device_id":"02` + zeros + `","mr_system":"03` + zeros + `","mr_aggregated":"04` + zeros +
		`","os_image_hash":"","key_provider_info":"7b226e616d65223a226b6d73227d","init_script_hashes":null}`
	if string(got) != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// The test's own encoder, for the forms that Marshal does not write.

const (
	asArray = false
	asMap   = true
)

func appendAppInfo(to []byte, a *AppInfo, named bool, octets func(to, b []byte) []byte) []byte {
	values := [][]byte{
		a.AppID[:], a.ComposeHash[:], a.InstanceID[:], a.DeviceID[:], a.MRSystem[:],
		a.MRAggregated[:], a.OSImageHash[:], a.KeyProviderInfo,
	}
	name := func(i int) {
		if named {
			to = append(append(to, msgpack.FixStr|byte(len(appInfoFields[i]))), appInfoFields[i]...)
		}
	}
	to = append(to, msgpack.FixArray|9)
	if named {
		to[len(to)-1] = msgpack.FixMap | 9
	}
	for i, v := range values {
		name(i)
		to = octets(to, v)
	}
	name(8)
	if a.InitScriptHashes == nil {
		return append(to, msgpack.Nil)
	}
	to = append(to, msgpack.FixArray|byte(len(a.InitScriptHashes)))
	for _, h := range a.InitScriptHashes {
		to = octets(to, h[:])
	}
	return to
}
