package rpc

import (
	"runtime"
	"strings"
	"testing"
	"unicode"

	"google.golang.org/protobuf/proto"

	"sallyport/internal/vm"
	"sallyport/rpc/gatewaypb"
)

// What is taken as a registration says the same when a guest sends it again, in
// either encoding.
func FuzzRegistration(f *testing.F) {
	for _, g := range guests {
		f.Add(true, []byte(g.body))
	}
	for _, m := range []*gatewaypb.RegisterCvmRequest{
		{ClientPublicKey: guestKey},
		{ClientPublicKey: guestKey, PortPolicy: &gatewaypb.PortPolicy{Ports: []*gatewaypb.PortAttrs{{Port: 80, Pp: true}, {Port: 443}}, RestrictMode: true}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(false, b)
	}
	f.Fuzz(func(t *testing.T, isText bool, body []byte) {
		enc := binary
		if isText {
			enc = text
		}
		var in gatewaypb.RegisterCvmRequest
		if enc.decode(body, &in) != nil {
			return
		}
		r, err := parseRegistration(&in)
		if err != nil {
			if r != (Registration{}) {
				t.Fatalf("an error and %+v", r)
			}
			return
		}
		if r.Key.IsZero() || (in.PortPolicy == nil) != (r.Policy.State() == vm.PolicyUnknown) {
			t.Fatalf("%v became %+v", &in, r)
		}
		if again, err := parseRegistration(requestOf(r)); err != nil || again != r {
			t.Fatalf("%+v became %+v, %v", r, again, err)
		}
	})
}

// Nothing that a gateway answers puts another line into a configuration file.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(wantAnswer))
	f.Add([]byte(`{"wg":{"client_ip":"10.0.0.2","servers":[{"pk":"` + guestKey + `","ip":"10.0.0.1","endpoint":"a.b:1"}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var m gatewaypb.RegisterCvmResponse
		if text.decode(body, &m) != nil {
			return
		}
		a, err := parseAnswer(&m)
		if err != nil {
			return
		}
		strange := func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r > unicode.MaxASCII }
		for _, s := range a.Servers {
			if !s.Address.IsValid() || s.Key.IsZero() || strings.ContainsFunc(s.Endpoint, strange) {
				t.Fatalf("server %+v", s)
			}
		}
		if !a.Address.IsValid() || strings.ContainsFunc(a.Public.Domain+a.Public.TXTPrefix, strange) {
			t.Fatalf("%+v", a)
		}
	})
}

// Two bytes make a message: the worst that protobuf has.
func TestMemoryOfProtobufGrowsWithTheInput(t *testing.T) {
	ports := strings.Repeat("\x0a\x00", (maxRegistration-8)/2)
	body, err := proto.Marshal(&gatewaypb.RegisterCvmRequest{PortPolicy: &gatewaypb.PortPolicy{}})
	if err != nil {
		t.Fatal(err)
	}
	length := len(ports)
	body = append(body[:1], byte(length&127|128), byte(length>>7&127|128), byte(length>>14))
	body = append(body, ports...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var in gatewaypb.RegisterCvmRequest
	if err := binary.decode(body, &in); err != nil || len(in.GetPortPolicy().GetPorts()) != length/2 {
		t.Fatalf("%d ports, %v", len(in.GetPortPolicy().GetPorts()), err)
	}
	runtime.ReadMemStats(&after)
	if used, most := after.TotalAlloc-before.TotalAlloc, uint64(64*len(body)); used > most {
		t.Errorf("%d bytes of input cost %d bytes", len(body), used)
	}
	if _, err := parseRegistration(&gatewaypb.RegisterCvmRequest{ClientPublicKey: guestKey, PortPolicy: in.PortPolicy}); err == nil {
		t.Error("that many ports are taken")
	}
}
