package attestation

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sallyport/ratls/internal/msgpack"
)

// forms are good attestations of each form, from a real machine where it is there.
func forms(t testing.TB) map[string][]byte {
	t.Helper()
	a := real(t)["guest-agent"]
	v1 := *a.Strip()
	v1.Version, v1.Quote = 1, v1.Quote[:256] // all its bytes are alike, and take long one by one
	return map[string][]byte{
		"V0":               marshal(t, a),
		"V0 stripped":      marshal(t, a.Strip()),
		"V1 stripped":      marshal(t, &v1),
		"V1 of all fields": marshal(t, sampleV1()),
		"V1 in bin":        handV1(msgpack.AppendBin, msgpack.AppendBin),
	}
}

func TestTruncatedAttestationIsRefused(t *testing.T) {
	for name, good := range forms(t) {
		for n := range good {
			if a, err := Parse(good[:n]); a != nil || err == nil {
				t.Fatalf("%s: first %d of %d bytes: %+v, %v", name, n, len(good), a, err)
			}
		}
	}
	log := []byte(`[{"imr":0,"event_type":4,"digest":"","event":"","event_payload":"00"},{"imr":3,"event_type":134217729,"version":2}]`)
	if _, err := ParseEventLog(log); err != nil {
		t.Fatal(err)
	}
	for n := range log {
		if events, err := ParseEventLog(log[:n]); events != nil || err == nil {
			t.Fatalf("JSON: first %d of %d bytes: %+v, %v", n, len(log), events, err)
		}
	}
}

// A changed byte is refused, or it changes what no rule looks at, or what a rule
// after Parse compares: the log with RTMR3, report data and quote with each other.
func TestChangedByteIsRefusedOrHarmless(t *testing.T) {
	for name, good := range forms(t) {
		want, err := Parse(good)
		if err != nil {
			t.Fatal(err)
		}
		rtmr3 := want.RuntimeEvents.RTMR3()
		flips := []byte{0x01, 0x80} // in 15 kB; in a short one, each bit
		if len(good) < 2000 {
			flips = []byte{0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80}
		}
		accepted := 0
		for i := range good {
			for _, flip := range flips {
				b := bytes.Clone(good)
				b[i] ^= flip
				a, err := Parse(b)
				if err != nil {
					if a != nil {
						t.Fatalf("%s: byte %d: a value and error %v", name, i, err)
					}
					continue
				}
				accepted++
				seen := bytes.Equal(a.Quote, want.Quote) && a.ReportData == want.ReportData && a.Config == want.Config
				if seen && !slices.EqualFunc(a.RuntimeEvents, want.RuntimeEvents, equal) && a.RuntimeEvents.Verify(rtmr3) == nil {
					t.Fatalf("%s: byte %d changed by %#x: another log replays to RTMR3", name, i, flip)
				}
			}
		}
		if accepted == 0 {
			t.Errorf("%s: nothing was accepted, so nothing was tested", name)
		}
	}
}

func equal(a, b RuntimeEvent) bool {
	return a.Name == b.Name && bytes.Equal(a.Payload, b.Payload) && a.Format == b.Format
}

func TestMemoryIsBoundedByTheInput(t *testing.T) {
	event := "\xa3imr\x00\xaaevent_type\x00\xa5event\xa0\xadevent_payload\x90"
	for why, c := range map[string]struct {
		b     []byte
		valid bool
	}{
		"shortest runtime events":    {b: slices.Concat([]byte("\x00\x00\x00\x00\x02\x00\x01\x00"), make([]byte, 2*maxEvents+64+1)), valid: true},
		"shortest events":            {b: slices.Concat([]byte("\x00\x00\x00\x02\x00\x01\x00"), make([]byte, 11*maxEvents+1+64+1)), valid: true},
		"2^14 events claimed":        {b: []byte("\x00\x00\x00\x02\x00\x01\x00\x01")},
		"2^30 bytes claimed":         {b: []byte("\x00\x00\xfe\xff\xff\xff\x01")},
		"2^32 bytes claimed":         {b: []byte("\x00\x00\x03\xff\xff\xff\xff\x01")},
		"V1: shortest events":        {b: []byte("\x83\xa8platform\x82\xa4kind\xa3tdx\xa4data\x82\xa9event_log\xdc\x40\x00" + strings.Repeat("\x84"+event, maxEvents))},
		"V1: bytes as integers":      {b: slices.Concat([]byte("\x83\xa8platform\x82\xa4kind\xa3tdx\xa4data\x82\xa5quote\xdd\x00\x01\x00\x00"), make([]byte, maxQuote))},
		"V1: 2^32 integers claimed":  {b: []byte("\x83\xa8platform\x82\xa4kind\xa3tdx\xa4data\x82\xa5quote\xdd\xff\xff\xff\xff\x00")},
		"V1: a thousand maps deep":   {b: bytes.Repeat([]byte{0x81}, 1000)},
		"V1: a thousand arrays deep": {b: append([]byte("\x83\xa8platform\x82\xa4kind\xa3tdx\xa4data\x82\xa9event_log"), bytes.Repeat([]byte{0x91}, 1000)...)},
	} {
		var err error
		used := allocated(func() { _, err = Parse(c.b) })
		if (err == nil) != c.valid {
			t.Errorf("%s: %v", why, err)
		}
		checkMemory(t, why, len(c.b), used)
	}
	for name, good := range forms(t) {
		checkMemory(t, name, len(good), allocated(func() { _, _ = Parse(good) }))
	}
	for why, log := range map[string]string{
		"real":            string(fixture(t, "derived/quote-report.event_log.json")),
		"empty objects":   "[" + strings.Repeat("{},", 1<<20) + "{}]",
		"shortest events": "[" + strings.Repeat(`{"imr":0,"event_type":0},`, maxEvents-1) + `{"imr":0,"event_type":0}]`,
		"deep":            `[{"x":` + strings.Repeat("[", 1<<20),
		"one long string": `[{"event":"` + strings.Repeat("x", 1<<20) + `"}]`,
		"many members":    `[{"imr":0,"event_type":0` + strings.Repeat(`,"":0`, 1<<18) + `}]`,
	} {
		checkMemory(t, "JSON: "+why, len(log), allocated(func() { _, _ = ParseEventLog([]byte(log)) }))
	}
}

func checkMemory(t *testing.T, why string, size int, used uint64) {
	t.Helper()
	if limit := uint64(64*size + 1024); used > limit {
		t.Errorf("%s: %d bytes allocated for an input of %d (%d times), want at most 64 times", why, used, size, used/uint64(size))
	}
}

// What is read must be written and read again to the same value; what is
// refused must come with nothing.

func FuzzParse(f *testing.F) {
	f.Add(marshal(f, sample()))
	f.Add(marshal(f, sampleV1()))
	f.Add(handV1(msgpack.AppendBin, msgpack.AppendInts))
	f.Add([]byte{0, 3, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := Parse(b)
		if err != nil {
			if a != nil {
				t.Fatalf("%+v with error %v", a, err)
			}
			return
		}
		written, err := a.Marshal()
		if err != nil {
			t.Fatalf("read %+v, cannot write it: %v", a, err)
		}
		if a.Version == 0 && !bytes.Equal(written, b) {
			t.Fatalf("%x, written as %x: version 0 has one form", b, written)
		}
		again, err := Parse(written)
		if err != nil || !reflect.DeepEqual(again, a) {
			t.Fatalf("%+v, then %+v, %v", a, again, err)
		}
		if err := a.RuntimeEvents.Verify(a.RuntimeEvents.RTMR3()); err != nil && !errors.Is(err, ErrAmbiguous) {
			t.Fatal(err)
		}
		if stripped, err := a.Strip().Marshal(); err != nil {
			t.Fatalf("stripped to %x, %v", stripped, err)
		}
	})
}

func FuzzParseEventLog(f *testing.F) {
	f.Add([]byte(`[{"imr":3,"event_type":134217729,"digest":"","event":"app-id","event_payload":"00ff","version":2}]`))
	f.Add([]byte(`[{"imr":0,"event_type":4,"event":"<é>","x":{"y":[1]}},{"imr":1,"event_type":10}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		events, err := ParseEventLog(b)
		if err != nil {
			if events != nil {
				t.Fatalf("%+v with error %v", events, err)
			}
			return
		}
		a, err := Legacy(nil, [64]byte{}, b)
		if err != nil {
			t.Fatal(err)
		}
		a.Version = 1
		again, err := Parse(marshal(t, a))
		if err != nil || !reflect.DeepEqual(again, a) {
			t.Fatalf("%+v, in version 1 %+v, %v", a, again, err)
		}
	})
}
