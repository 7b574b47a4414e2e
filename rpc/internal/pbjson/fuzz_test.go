package pbjson

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"sallyport/rpc/gatewaypb"
)

// What is read is valid JSON for encoding/json too, and is the same after it was
// written.
func FuzzUnmarshal(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `{}`, `{"client_public_key":"AAECAw==","port_policy":{"ports":[{"port":80,"pp":true}],"restrict_mode":true}}`,
		`{"wg":{"client_ip":"10.8.0.7","servers":[{"pk":"a"}]},"gateways":[{"uuid":"0xab","last_seen":18446744073709551615}],"x":[[{}]]}`,
		`{"gateways":[{},{},{}]}`, "{\"\xff\":1}", `{"wg":{"client_ip":"\ud800"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, m := range []proto.Message{&gatewaypb.RegisterCvmRequest{}, &gatewaypb.RegisterCvmResponse{}, &gatewaypb.AcmeInfoResponse{}} {
			if Unmarshal(data, m) != nil {
				continue
			}
			if len(strings.TrimSpace(string(data))) > 0 && !json.Valid(data) {
				t.Fatalf("invalid JSON is read: %q", data)
			}
			text, err := Marshal(m)
			if err != nil || !json.Valid(text) {
				t.Fatalf("%v is written as %q, %v", m, text, err)
			}
			back := proto.Clone(m)
			if err := Unmarshal(text, back); err != nil || !proto.Equal(m, back) {
				t.Fatalf("%s is read as %v, %v; want %v", text, back, err, m)
			}
		}
	})
}

// The worst inputs are those of the smallest pieces: 3 bytes make a message, 2 a
// token.
func TestMemoryGrowsWithTheInput(t *testing.T) {
	const size, most = 64 << 10, 64
	for name, in := range map[string]string{
		"messages": `{"port_policy":{"ports":[` + strings.Repeat("{},", size/3) + `{}]}}`,
		"tokens":   `{"x":[` + strings.Repeat("1,", size/2) + `1]}`,
		"names":    `{` + strings.Repeat(`"":1,`, size/5) + `"":1}`,
		"nesting":  `{"x":` + strings.Repeat("[", size),
		"string":   `{"client_public_key":"` + strings.Repeat("a", size) + `"}`,
	} {
		before := allocated()
		err := Unmarshal([]byte(in), &gatewaypb.RegisterCvmRequest{})
		if used := allocated() - before; used > most*size {
			t.Errorf("%s: %d bytes of input cost %d bytes (%v)", name, len(in), used, err)
		} else {
			t.Logf("%s: %d bytes of input, %d allocated", name, len(in), used)
		}
	}
}

func allocated() uint64 {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.TotalAlloc
}
