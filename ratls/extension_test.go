package ratls

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sallyport/ratls/internal/msgpack"
)

func extensions(arc int, payload []byte) []pkix.Extension {
	return []pkix.Extension{extension(arc, payload)}
}

func allExtensions() Extensions {
	return Extensions{
		Quote: []byte("quote"), EventLog: []byte("[]"), Attestation: []byte{0, 1, 2},
		AppID: testApp, Usage: UsageApp, AppInfo: testInfo(),
	}
}

func TestExtensionsSurviveTheirEncoding(t *testing.T) {
	for name, want := range map[string]Extensions{
		"all":     allExtensions(),
		"none":    {},
		"app CA":  {AppID: testApp, Usage: UsageAppCA},
		"a large": {Attestation: bytes.Repeat([]byte{7}, maxEvidence)},
	} {
		list, err := want.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseExtensions(list)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
		}
	}
}

// The value is an OCTET STRING of its own: X.509 adds the outer one.
func TestExtensionsAreNestedOctetStrings(t *testing.T) {
	list, err := Extensions{Usage: "kms:rpc"}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	want := pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 62397, 1, 4}, Value: []byte("\x04\x07kms:rpc")}
	if len(list) != 1 || !reflect.DeepEqual(list[0], want) {
		t.Errorf("%+v, want %+v", list, want)
	}
}

func TestExtensionsOfOthersArePassedOver(t *testing.T) {
	list := []pkix.Extension{
		{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Value: []byte{3, 2, 7, 128}},
		{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 62397, 1, 5}, Value: []byte("not ours")},
		{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 62397, 1, 3, 1}, Value: []byte("nor this")},
		{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 62397, 2, 3}, Value: []byte("nor this")},
	}
	if got, err := ParseExtensions(append(list, list...)); err != nil || !reflect.DeepEqual(got, Extensions{}) {
		t.Errorf("%+v, %v, want nothing", got, err)
	}
}

func TestAppInfoOfNilIsAbsent(t *testing.T) {
	if got, err := ParseExtensions(extensions(arcAppInfo, []byte{msgpack.Nil})); err != nil || got.AppInfo != nil {
		t.Errorf("%+v, %v, want no app info", got, err)
	}
}

func TestExtensionTwiceIsRefused(t *testing.T) {
	list, err := allExtensions().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for i, kind := range extensionKinds {
		_, err := ParseExtensions(append(slices.Clip(list), list[i]))
		wantError(t, err, kind.name+": extension appears twice")
	}
}

func TestBadExtensionIsRefused(t *testing.T) {
	raw := func(arc int, value string) []pkix.Extension {
		return []pkix.Extension{{Id: oid(arc), Value: []byte(value)}}
	}
	for _, c := range []struct {
		why  string
		list []pkix.Extension
		want string
	}{
		{"no inner string", raw(arcUsage, "app:custom"), "usage: value is not a single DER OCTET STRING"},
		{"nothing", raw(arcUsage, ""), "usage: value is not a single DER OCTET STRING"},
		{"wrong tag", raw(arcUsage, "\x0c\x03app"), "usage: value is not a single DER OCTET STRING"},
		{"trailing byte", raw(arcUsage, "\x04\x03appX"), "usage: value is not a single DER OCTET STRING"},
		{"short", raw(arcUsage, "\x04\x04app"), "usage: value is not a single DER OCTET STRING"},
		{"length not minimal", raw(arcUsage, "\x04\x81\x03app"), "usage: value is not a single DER OCTET STRING"},
		{"indefinite length", raw(arcUsage, "\x24\x80\x04\x03app\x00\x00"), "usage: value is not a single DER OCTET STRING"},
		{"empty quote", extensions(arcQuote, nil), "quote: empty"},
		{"empty event log", extensions(arcEventLog, nil), "event log: empty"},
		{"empty attestation", extensions(arcAttestation, nil), "attestation: empty"},
		{"empty app info", extensions(arcAppInfo, nil), "app info: empty"},
		{"empty app id", extensions(arcAppID, nil), "app id: empty"},
		{"short app id", extensions(arcAppID, make([]byte, 19)), "app id: 19 bytes, want 20"},
		{"long app id", extensions(arcAppID, make([]byte, 21)), "app id: 21 bytes, want at most 20"},
		{"zero app id", extensions(arcAppID, make([]byte, 20)), "app id: all zero"},
		{"usage with a line end", extensions(arcUsage, []byte("app:custom\n")), "usage: not printable ASCII"},
		{"usage in UTF-8", extensions(arcUsage, []byte("äpp")), "usage: not printable ASCII"},
		{"usage too long", extensions(arcUsage, []byte(strings.Repeat("a", 65))), "usage: 65 bytes, want at most 64"},
		{"quote too long", extensions(arcQuote, make([]byte, maxEvidence+1)), "quote: 262145 bytes, want at most 262144"},
		{"bad app info", extensions(arcAppInfo, []byte{msgpack.FixArray}), "app info: 0 fields, want 8 or 9"},
	} {
		t.Run(c.why, func(t *testing.T) {
			got, err := ParseExtensions(c.list)
			if !reflect.DeepEqual(got, Extensions{}) {
				t.Errorf("read %+v", got)
			}
			wantError(t, err, c.want)
		})
	}
}

func TestExtensionsThatNobodyWouldReadAreNotWritten(t *testing.T) {
	for want, e := range map[string]Extensions{
		"usage: not printable ASCII": {Usage: "a\x00"},
		"attestation: 262145 bytes":  {Attestation: make([]byte, maxEvidence+1)},
		"app_id: all zero":           {AppInfo: &AppInfo{}},
		"decompress":                 {EventLog: []byte(compressedPrefix)},
	} {
		list, err := e.Marshal()
		if list != nil {
			t.Errorf("%s: wrote %v", want, list)
		}
		wantError(t, err, want)
	}
}
