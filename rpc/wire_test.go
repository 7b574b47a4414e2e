package rpc

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"sallyport/internal/vm"
)

const guestKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

// post is a request as a guest's HTTP library writes it: no content type, and
// names of header fields in lower case.
func post(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\naccept: */*\r\nhost: gw.example:8000\r\ncontent-length: %d\r\n\r\n%s", path, len(body), body)
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// send opens a connection as cert, or without one, writes the bytes, and reads
// one answer.
func (w *world) send(t testing.TB, cert *tls.Certificate, request string) answer {
	t.Helper()
	a, err := w.trySend(cert, request, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (w *world) trySend(cert *tls.Certificate, request string, change func(*tls.Config)) (answer, error) {
	c := &tls.Config{RootCAs: w.root.pool(), ServerName: "gw.example"}
	if cert != nil {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	if change != nil {
		change(c)
	}
	conn, err := tls.Dial("tcp", w.addr, c)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	written := make(chan struct{})
	go func() { // an answer may come before everything is written
		defer close(written)
		_, _ = io.WriteString(conn, request)
	}()
	a, err := readOne(bufio.NewReader(conn))
	conn.Close()
	<-written
	return a, err
}

func readOne(r *bufio.Reader) (answer, error) {
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(body)}, err
}

// The types that a guest's decoder knows. It is stricter than a JSON library: a
// number that does not fit, or null where something is wanted, is an error.
const (
	str = "string"
	u32 = "u32"
	u64 = "u64"
	hx  = "hex"
)

type object map[string]any

// registerCvmResponse is the message as guests of all versions have it.
var registerCvmResponse = object{
	"wg": object{"client_ip": str, "servers": []any{object{"pk": str, "ip": str, "endpoint": str}}},
	"agent": object{
		"external_port": u32, "internal_port": u32, "domain": str, "app_address_ns_prefix": str,
	},
	"gateways": []any{object{
		"id": u32, "uuid": hx, "url": str, "last_seen": u64, "wg_public_key": str, "wg_ip": str, "wg_endpoint": str,
	}},
}

// strictDecode fails the test unless body is JSON of exactly this type: every
// field there, none besides.
func strictDecode(t testing.TB, schema any, body string) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(body))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	if err := conforms(schema, v, "answer"); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return v
}

func conforms(schema, v any, at string) error {
	ok := true
	switch s := schema.(type) {
	case object:
		fields, isObject := v.(map[string]any)
		if !isObject || len(fields) != len(s) {
			return fmt.Errorf("%s: %d fields, want %d", at, len(fields), len(s))
		}
		for name, inner := range s {
			if err := conforms(inner, fields[name], at+"."+name); err != nil {
				return err
			}
		}
	case []any:
		list, isList := v.([]any)
		for i, e := range list {
			if err := conforms(s[0], e, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
		ok = isList
	case string:
		ok = conformsScalar(s, v)
	}
	if !ok {
		return fmt.Errorf("%s: %v is no %v", at, v, schema)
	}
	return nil
}

var hexDigits = regexp.MustCompile(`^([0-9a-f]{2})*$`)

func conformsScalar(kind string, v any) bool {
	s, isString := v.(string)
	n, isNumber := v.(json.Number)
	switch kind {
	case str:
		return isString
	case hx:
		return isString && hexDigits.MatchString(s)
	case u32:
		return isNumber && json.Unmarshal([]byte(n), new(uint32)) == nil
	default:
		return isNumber && json.Unmarshal([]byte(n), new(uint64)) == nil
	}
}

// wireGuardConfig is the text that a guest makes of an answer, and compares with
// the one it has. It must parse what it uses.
func wireGuardConfig(t testing.TB, v map[string]any) string {
	t.Helper()
	var b bytes.Buffer
	wg := v["wg"].(map[string]any)
	ip := wg["client_ip"].(string)
	if a, err := netip.ParseAddr(ip); err != nil || !a.Is4() {
		t.Errorf("client_ip %q: want IPv4 without a prefix", ip)
	}
	fmt.Fprintf(&b, "[Interface]\nAddress = %s/32\n", ip)
	for _, e := range wg["servers"].([]any) {
		s := e.(map[string]any)
		if p, err := netip.ParsePrefix(s["ip"].(string)); err != nil || p.Addr() == p.Masked().Addr() {
			t.Errorf("server ip %q: want a host with its network's length", s["ip"])
		}
		if _, err := netip.ParseAddrPort(s["endpoint"].(string)); err != nil {
			t.Errorf("endpoint: %v", err)
		}
		if _, err := vm.ParseWGKey(s["pk"].(string)); err != nil {
			t.Errorf("pk: %v", err)
		}
		host, _, _ := strings.Cut(s["ip"].(string), "/")
		fmt.Fprintf(&b, "[Peer]\nPublicKey = %s\nAllowedIPs = %s/32\nEndpoint = %s\n", s["pk"], host, s["endpoint"])
	}
	return b.String()
}
