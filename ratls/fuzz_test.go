package ratls

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"reflect"
	"testing"

	"sallyport/ratls/internal/msgpack"
)

// What is read must be written and read again to the same value; what is
// refused must come with nothing.

func FuzzParseAppInfo(f *testing.F) {
	f.Add([]byte{msgpack.Nil})
	f.Add(appendAppInfo(nil, testInfo(), asArray, msgpack.AppendBin))
	f.Add(appendAppInfo(nil, testInfo(), asArray, msgpack.AppendInts))
	f.Add(appendAppInfo(nil, testInfo(), asMap, msgpack.AppendBin))
	f.Fuzz(func(t *testing.T, b []byte) {
		info, err := ParseAppInfo(b)
		if err != nil {
			if info != nil {
				t.Fatalf("%+v with error %v", info, err)
			}
			return
		}
		if info == nil {
			return
		}
		again, err := ParseAppInfo(marshal(t, info))
		if err != nil || !reflect.DeepEqual(again, info) {
			t.Fatalf("%+v, then %+v, %v", info, again, err)
		}
	})
}

func FuzzParseExtensions(f *testing.F) {
	for _, kind := range extensionKinds {
		f.Add(byte(kind.arc), octetString([]byte("app:custom")), byte(arcUsage), octetString([]byte(UsageAppCA)))
		f.Add(byte(arcAppID), octetString(testApp[:]), byte(kind.arc), octetString(compressed(f, []byte("[]"))))
	}
	f.Fuzz(func(t *testing.T, arc1 byte, value1 []byte, arc2 byte, value2 []byte) {
		e, err := ParseExtensions([]pkix.Extension{{Id: oid(int(arc1)), Value: value1}, {Id: oid(int(arc2)), Value: value2}})
		if err != nil {
			if !reflect.DeepEqual(e, Extensions{}) {
				t.Fatalf("%+v with error %v", e, err)
			}
			return
		}
		list, err := e.Marshal()
		if err != nil {
			t.Fatalf("read %+v, cannot write it: %v", e, err)
		}
		again, err := ParseExtensions(list)
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Fatalf("%+v, then %+v, %v", e, again, err)
		}
	})
}

// Any leaf below a good authority: no panic, and nobody but the app's machine.
func FuzzIdentify(f *testing.F) {
	a := newAuthority(f)
	chain := verified(f, a, issue(f, a, guest()))
	f.Add(chain[0].Raw)
	f.Add(issue(f, a, quoted(guest(), arcQuote, arcEventLog, arcAttestation)).Certificate[0])
	f.Fuzz(func(t *testing.T, der []byte) {
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		id, err := Identify(t.Context(), []*x509.Certificate{leaf, chain[1], chain[2]}, Options{})
		if err != nil {
			if !reflect.DeepEqual(id, Identity{}) {
				t.Fatalf("%+v with error %v", id, err)
			}
			return
		}
		if id.AppID != testApp || id.InstanceID.IsZero() || id.Usage != UsageApp || id.Verdict != nil {
			t.Fatalf("%+v below the authority of app %s", id, testApp)
		}
	})
}
