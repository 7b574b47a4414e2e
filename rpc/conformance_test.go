package rpc

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"sallyport/internal/vm"
	"sallyport/rpc/gatewaypb"
)

// guests are the bodies of RegisterCvm by guest version.
var guests = []struct {
	version string
	body    string
	policy  vm.PortPolicy
}{
	{"0.4.2 to 0.5.8", `{"client_public_key":"` + guestKey + `"}`, vm.PortPolicy{}},
	{"0.5.9, policy not known", `{"client_public_key":"` + guestKey + `","port_policy":null}`, vm.PortPolicy{}},
	{"0.5.9, empty policy", `{"client_public_key":"` + guestKey + `","port_policy":{"ports":[],"restrict_mode":false}}`, vm.OpenPolicy()},
	{
		"0.6, two ports", `{"client_public_key":"` + guestKey + `","port_policy":{"ports":[{"port":443,"pp":true},{"port":65535,"pp":false}],"restrict_mode":true}}`,
		policy(true, vm.PortRule{Port: 443, Proxy: true}, vm.PortRule{Port: 65535}),
	},
	{"later, with more fields", `{"client_public_key":"` + guestKey + `","port_policy":{"restrict_mode":false,"new":{"a":[1,{}]}},"hints":["x",null,1.5e3]}`, vm.OpenPolicy()},
}

func policy(restricted bool, rules ...vm.PortRule) vm.PortPolicy {
	p, err := vm.NewPortPolicy(restricted, rules)
	if err != nil {
		panic(err) // the test's own mistake
	}
	return p
}

func wantKey(t testing.TB) vm.WGKey {
	t.Helper()
	k, err := vm.ParseWGKey(guestKey)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

const wantAnswer = `{"wg":{"client_ip":"10.8.0.7","servers":[` +
	`{"pk":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAk=","ip":"10.8.0.1/16","endpoint":"203.0.113.7:51820"},` +
	`{"pk":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAg=","ip":"10.8.64.1/16","endpoint":"203.0.113.8:51820"}]},` +
	`"agent":{"external_port":443,"internal_port":8090,"domain":"gw.example","app_address_ns_prefix":"_dstack-app-address"},` +
	`"gateways":[` +
	`{"id":1,"uuid":"abcd","url":"https://gw.example:8000","last_seen":1700000000,"wg_public_key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAk=","wg_ip":"10.8.0.1/16","wg_endpoint":"203.0.113.7:51820"},` +
	`{"id":2,"uuid":"","url":"https://gw2.example:8000","last_seen":0,"wg_public_key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAg=","wg_ip":"10.8.64.1/16","wg_endpoint":"203.0.113.8:51820"}]}`

const wantConfig = `[Interface]
Address = 10.8.0.7/32
[Peer]
PublicKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAk=
AllowedIPs = 10.8.0.1/32
Endpoint = 203.0.113.7:51820
[Peer]
PublicKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAg=
AllowedIPs = 10.8.64.1/32
Endpoint = 203.0.113.8:51820
`

func TestEachGuestVersionRegisters(t *testing.T) {
	w := newWorld(t, nil)
	for _, g := range guests {
		t.Run(g.version, func(t *testing.T) {
			a := w.send(t, &w.guest, post("/prpc/RegisterCvm?json", g.body))
			if a.status != 200 || a.header.Get("Content-Type") != "application/json" {
				t.Fatalf("status %d, %q: %s", a.status, a.header.Get("Content-Type"), a.body)
			}
			if diff := cmp.Diff(wantConfig, wireGuardConfig(t, strictDecode(t, registerCvmResponse, a.body))); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(wantAnswer, a.body); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			want := registered{Caller{App: "app1", Instance: "inst1", Compose: vm.ComposeHash{1}}, Registration{wantKey(t), g.policy}}
			if got := w.registrar.last(t); got != want {
				t.Errorf("registered %+v, want %+v", got, want)
			}
		})
	}
}

func TestMethodMayHavePrefixes(t *testing.T) {
	w := newWorld(t, nil)
	for _, name := range []string{"RegisterCvm", "Tproxy.RegisterCvm", "Gateway.RegisterCvm", "Tproxy.Tproxy.RegisterCvm", "Gateway.Tproxy.RegisterCvm"} {
		if a := w.send(t, &w.guest, post("/prpc/"+name+"?json", guests[0].body)); a.status != 200 {
			t.Errorf("%s: status %d: %s", name, a.status, a.body)
		}
	}
}

func TestEncodingIsChosenAsInPRPC(t *testing.T) {
	w := newWorld(t, nil)
	message, err := proto.Marshal(&gatewaypb.RegisterCvmRequest{ClientPublicKey: guestKey})
	if err != nil {
		t.Fatal(err)
	}
	withType := func(kind, path, body string) string {
		return strings.Replace(post(path, body), "accept: */*", "content-type: "+kind, 1)
	}
	key := strings.NewReplacer("+", "%2B", "/", "%2F", "=", "%3D").Replace(guestKey)
	for name, c := range map[string]struct{ request, kind string }{
		"?json":            {post("/prpc/RegisterCvm?json", guests[0].body), "application/json"},
		"?json=1":          {post("/prpc/RegisterCvm?json=1", guests[0].body), "application/json"},
		"?json=true":       {post("/prpc/RegisterCvm?x=y&json=true", guests[0].body), "application/json"},
		"?json=0":          {post("/prpc/RegisterCvm?json=0", string(message)), "application/octet-stream"},
		"content type":     {withType("application/json; charset=utf-8", "/prpc/RegisterCvm", guests[0].body), "application/json"},
		"nothing said":     {post("/prpc/RegisterCvm", string(message)), "application/octet-stream"},
		"of an octet type": {withType("application/octet-stream", "/prpc/RegisterCvm", string(message)), "application/octet-stream"},
		"GET": {
			"GET /prpc/RegisterCvm?client_public_key=" + key + "&other=1 HTTP/1.1\r\nhost: x\r\n\r\n",
			"application/json",
		},
	} {
		a := w.send(t, &w.guest, c.request)
		if a.status != 200 || a.header.Get("Content-Type") != c.kind {
			t.Errorf("%s: status %d, %s, want %s: %s", name, a.status, a.header.Get("Content-Type"), c.kind, a.body)
		}
		if got := w.registrar.last(t).Key; got != wantKey(t) {
			t.Errorf("%s: key %s", name, got)
		}
	}
}

func TestProtobufAnswerHasTheSameFields(t *testing.T) {
	w := newWorld(t, nil)
	message, err := proto.Marshal(&gatewaypb.RegisterCvmRequest{
		ClientPublicKey: guestKey,
		PortPolicy:      &gatewaypb.PortPolicy{Ports: []*gatewaypb.PortAttrs{{Port: 80, Pp: true}}, RestrictMode: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	a := w.send(t, &w.guest, post("/prpc/RegisterCvm", string(message)))
	var got gatewaypb.RegisterCvmResponse
	if err := proto.Unmarshal([]byte(a.body), &got); err != nil || a.status != 200 {
		t.Fatalf("status %d, %v", a.status, err)
	}
	if want := w.server.registered(Grant{Address: mustAddr("10.8.0.7")}); !proto.Equal(&got, want) {
		t.Errorf("got %v, want %v", &got, want)
	}
	if got := w.registrar.last(t).Policy; got != policy(true, vm.PortRule{Port: 80, Proxy: true}) {
		t.Errorf("policy %v", got)
	}
}

func TestGuestWithHTTP2Registers(t *testing.T) {
	w := newWorld(t, nil)
	tr := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{
		RootCAs: w.root.pool(), Certificates: []tls.Certificate{w.guest},
	}}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "https://"+w.addr+"/prpc/RegisterCvm?json", bytes.NewReader([]byte(guests[0].body)))
	if err != nil {
		t.Fatal(err)
	}
	res, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 || res.ProtoMajor != 2 || string(body) != wantAnswer {
		t.Errorf("%s %d, %v: %s", res.Proto, res.StatusCode, err, body)
	}
}

func TestGuestIsAskedForItsQuote(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.Identify = func(context.Context, *tls.ConnectionState) (Caller, error) { return Caller{}, ErrNoAttestation }
	})
	a := w.send(t, &w.guest, post("/prpc/RegisterCvm?json", guests[0].body))
	// A guest looks for the words in "Request failed with status=…, error=<body>".
	if a.status != 400 || a.body != "{\n  \"error\": \"no attestation provided\"\n}" {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}
