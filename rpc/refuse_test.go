package rpc

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"sallyport/internal/vm"
	"sallyport/rpc/gatewaypb"
)

// errorOf is the text of a refusal in JSON.
func errorOf(t testing.TB, a answer) string {
	t.Helper()
	var e struct{ Error string }
	if err := json.Unmarshal([]byte(a.body), &e); err != nil || a.header.Get("Content-Type") != "application/json" {
		t.Fatalf("status %d, %v in %q", a.status, err, a.body)
	}
	return e.Error
}

func TestErrorNamesTheFaultOfARegistration(t *testing.T) {
	w := newWorld(t, nil)
	key := func(s string) string { return `{"client_public_key":"` + s + `"}` }
	ports := func(s string) string {
		return `{"client_public_key":"` + guestKey + `","port_policy":{"ports":` + s + `}}`
	}
	many := "[" + strings.Repeat(`{"port":80},`, vm.MaxPortRules) + `{"port":80}]`
	for name, c := range map[string]struct{ body, want string }{
		"no body":         {"", "client_public_key: has 0 bytes: want exactly 32"},
		"null":            {"null", "client_public_key: has 0 bytes: want exactly 32"},
		"no key":          {"{}", "client_public_key: has 0 bytes: want exactly 32"},
		"not JSON":        {"\x08\x01", "invalid request: invalid JSON: invalid character '\\b' looking for beginning of value"},
		"an array":        {"[]", "invalid request: want an object"},
		"number as key":   {`{"client_public_key":1}`, "invalid request: client_public_key: want a string"},
		"key twice":       {`{"client_public_key":"a","client_public_key":"b"}`, "invalid request: client_public_key: appears twice"},
		"no base64":       {key("!" + guestKey[1:]), "client_public_key: invalid base64: want the standard alphabet with padding, as `wg pubkey` prints"},
		"URL alphabet":    {key("-_" + guestKey[2:]), "client_public_key: invalid base64: want the standard alphabet with padding, as `wg pubkey` prints"},
		"no padding":      {key(strings.TrimRight(guestKey, "=")), "client_public_key: invalid base64: want the standard alphabet with padding, as `wg pubkey` prints"},
		"unclean padding": {key(guestKey[:42] + "9="), "client_public_key: invalid base64: want the standard alphabet with padding, as `wg pubkey` prints"},
		"31 bytes":        {key("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg=="), "client_public_key: has 31 bytes: want exactly 32"},
		"33 bytes":        {key("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g"), "client_public_key: has 33 bytes: want exactly 32"},
		"all-zero key":    {key(vm.WGKey{}.String()), "client_public_key: the all-zero key is not valid"},
		"port 0":          {ports(`[{"port":0}]`), "port_policy: port 0: want 1 to 65535"},
		"port not there":  {ports(`[{"pp":true}]`), "port_policy: port 0: want 1 to 65535"},
		"port 65536":      {ports(`[{"port":65536}]`), "port_policy: port 65536: want 1 to 65535"},
		"port -1":         {ports(`[{"port":-1}]`), "invalid request: port_policy: ports: element 0: port: want a whole number in the range of uint32"},
		"port as text":    {ports(`[{"port":"80"}]`), "invalid request: port_policy: ports: element 0: port: want a number"},
		"two rules":       {ports(`[{"port":80},{"port":80,"pp":true}]`), "port_policy: port policy lists port 80 twice, with and without PROXY header"},
		"too many ports":  {ports(many), "port_policy: lists 4097 ports, the limit is 4096"},
	} {
		a := w.send(t, &w.guest, post("/prpc/RegisterCvm?json", c.body))
		if got := errorOf(t, a); a.status != 400 || got != c.want {
			t.Errorf("%s: status %d, %q, want %q", name, a.status, got, c.want)
		}
	}
	if n := len(w.registrar.calls); n != 0 {
		t.Errorf("%d reached the registrar", n)
	}
}

func TestLargestPolicyFits(t *testing.T) {
	w := newWorld(t, nil)
	var list []string
	for port := 65535; len(list) < vm.MaxPortRules; port-- {
		list = append(list, fmt.Sprintf("\n    {\n      \"port\": %d,\n      \"pp\": false\n    }", port))
	}
	body := `{"client_public_key":"` + guestKey + `","port_policy":{"ports":[` + strings.Join(list, ",") + `]}}`
	if a := w.send(t, &w.guest, post("/prpc/RegisterCvm?json", body)); a.status != 200 {
		t.Errorf("%d bytes: status %d: %s", len(body), a.status, a.body)
	}
}

func TestLargeBodyIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	large := `{"client_public_key":"` + strings.Repeat("A", 11<<20) + `"}`
	chunked := fmt.Sprintf("POST /prpc/RegisterCvm?json HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", maxRegistration+1, strings.Repeat(" ", maxRegistration+1))
	for name, request := range map[string]string{
		"11 MiB": post("/prpc/RegisterCvm?json", large), "one byte more, of unknown length": chunked,
		"nothing wanted": post("/prpc/Info?json", strings.Repeat(" ", maxNothing+1)),
	} {
		a := w.send(t, &w.guest, request)
		if got := errorOf(t, a); a.status != 413 || !strings.HasPrefix(got, "the body is larger than ") {
			t.Errorf("%s: status %d, %q", name, a.status, got)
		}
	}
	exact := post("/prpc/RegisterCvm?json", guests[0].body+strings.Repeat(" ", maxRegistration-len(guests[0].body)))
	if a := w.send(t, &w.guest, exact); a.status != 200 {
		t.Errorf("as large as may be: status %d: %s", a.status, a.body)
	}
}

func TestLargeHeaderIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	// net/http allows 4096 bytes more than it is told.
	path := "/prpc/Info?json&x=" + strings.Repeat("x", maxHeaderBytes+4096)
	if a := w.send(t, nil, post(path, "")); a.status != 431 {
		t.Errorf("status %d", a.status)
	}
}

func TestUnknownMethodIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	for path, want := range map[string]string{
		"/prpc/registercvm?json":         "Service not found: registercvm",
		"/prpc/Worker.RegisterCvm?json":  "Service not found: Worker.RegisterCvm",
		"/prpc/Tproxy.?json":             "Service not found: ",
		"/prpc/a%22%3Cb%0a?json":         "Service not found: a\"<b\n",
		"/prpc/RegisterCvm.Tproxy.?json": "Service not found: RegisterCvm.Tproxy.",
	} {
		a := w.send(t, &w.guest, post(path, "{}"))
		if got := errorOf(t, a); a.status != 404 || got != want {
			t.Errorf("%s: status %d, %q, want %q", path, a.status, got, want)
		}
	}
}

func TestErrorInProtobufIsAMessage(t *testing.T) {
	w := newWorld(t, nil)
	for request, want := range map[string]string{
		post("/prpc/RegisterCvm", "\xff"):          "invalid request: not the protobuf message of this method (JSON needs ?json)",
		post("/prpc/RegisterCvm", guests[0].body):  "invalid request: not the protobuf message of this method (JSON needs ?json)",
		post("/prpc/RegisterCvm", "\x0a\x02\xff!"): "invalid request: not the protobuf message of this method (JSON needs ?json)",
		post("/prpc/RegisterCvm", "\x0a\x01!"):     "client_public_key: invalid base64: want the standard alphabet with padding, as `wg pubkey` prints",
		post("/prpc/Nothing", ""):                  "Service not found: Nothing",
		post("/prpc/%ff", ""):                      "Service not found: \uFFFD",
	} {
		a := w.send(t, &w.guest, request)
		var got gatewaypb.Error
		if err := proto.Unmarshal([]byte(a.body), &got); err != nil || a.status/100 != 4 || a.header.Get("Content-Type") != "application/octet-stream" {
			t.Errorf("status %d, %v in %q", a.status, err, a.body)
		}
		if got.GetMessage() != want {
			t.Errorf("%q, want %q", got.GetMessage(), want)
		}
	}
}

func TestEmptyIDIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	for _, c := range []struct{ app, instance, want string }{
		{"", "inst1", "the certificate's app id is empty"},
		{"app1", "", "the certificate's instance id is empty: an app with no_instance_id cannot register"},
	} {
		cert := w.app.guest(t, c.app, c.instance)
		a := w.send(t, &cert, post("/prpc/RegisterCvm?json", guests[0].body))
		if got := errorOf(t, a); a.status != 400 || got != c.want {
			t.Errorf("status %d, %q, want %q", a.status, got, c.want)
		}
	}
	if len(w.registrar.calls) != 0 {
		t.Error("one reached the registrar")
	}
}

func TestRefusalOfTheRegistrarReachesGuestAndLog(t *testing.T) {
	var log bytes.Buffer
	w := newWorld(t, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	w.registrar.err = fmt.Errorf("allocate: %w", errors.New("pool 10.8.0.0/18 is exhausted"))
	a := w.send(t, &w.guest, post("/prpc/RegisterCvm?json", guests[0].body))
	if got := errorOf(t, a); a.status != 400 || got != "allocate: pool 10.8.0.0/18 is exhausted" {
		t.Errorf("status %d, %q", a.status, got)
	}
	for _, want := range []string{"registration refused", "app_id=app1", "instance_id=inst1", "subject=app1.inst1", "source=127.0.0.1", "is exhausted"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in %s", want, log.String())
		}
	}
}

func TestPanicEndsOneCallOnly(t *testing.T) {
	var log bytes.Buffer
	w := newWorld(t, func(o *Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		o.Identify = func(context.Context, *tls.ConnectionState) (Caller, error) { panic("a mistake") }
	})
	a := w.send(t, &w.guest, post("/prpc/RegisterCvm?json", guests[0].body))
	if got := errorOf(t, a); a.status != 500 || got != "internal error" {
		t.Errorf("status %d, %q", a.status, got)
	}
	if !strings.Contains(log.String(), "a mistake") {
		t.Errorf("log: %s", log.String())
	}
	if a := w.send(t, nil, post("/prpc/Info?json", "")); a.status != 200 {
		t.Errorf("status %d afterwards", a.status)
	}
}
