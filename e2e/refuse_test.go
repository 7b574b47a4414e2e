package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/internal/gwtest"
)

// The TLS alerts that the gateway sends itself (RFC 8446, 6.2).
const (
	noAlert               = 0
	unexpectedMessage     = 10
	illegalParameter      = 47
	accessDenied          = 49
	decodeError           = 50
	internalError         = 80
	unrecognizedName      = 112
	noApplicationProtocol = 120
)

// wantAlert reads one fatal alert in plain text, then the end; or the end alone.
func wantAlert(t *testing.T, c io.Reader, code byte) {
	t.Helper()
	want := ""
	if code != noAlert {
		want = string([]byte{21, 3, 3, 0, 2, 2, code})
	}
	got, err := io.ReadAll(c)
	if len(got) > 2 { // RFC 8446, 5.1: the version of a record is to be ignored
		got[2] = 3
	}
	if string(got) != want || err != nil {
		t.Errorf("got % x and %v, want alert %d (% x) and a clean end", got, err, code, want)
	}
}

func helloFor(serverName string, alpn ...string) []byte {
	return gwtest.Hello{ServerName: serverName, ALPN: alpn}.Record()
}

// Each refusal: the alert that the client gets, the reason that is counted, and
// nothing that reaches an instance or is left behind.
func TestRefusal(t *testing.T) {
	w := newWorld(t)
	g := w.start(setting{"proxy.timeouts.hello", "1s"})
	reached := w.cvms[0].host.Listen(t, ":80")
	w.cvms[0].host.Listen(t, ":443")
	fds, goroutines, _ := g.atRest()

	for _, tt := range []struct {
		name   string
		bytes  []byte
		alert  byte
		reason string
	}{
		{"NoServerName", helloFor(""), unrecognizedName, "no_server_name"},
		{"UnknownDomain", helloFor("alpha-80.other.example"), unrecognizedName, "unknown_domain"},
		{"TheBareDomain", helloFor(domain), unrecognizedName, "unknown_domain"},
		{"TwoLabels", helloFor("www." + name("alpha", "80")), unrecognizedName, "unknown_domain"},
		{"UnknownApp", helloFor(name("nobody", "80")), unrecognizedName, "unknown_app"},
		{"TwoSuffixes", helloFor(name("alpha", "80sg")), unrecognizedName, "bad_name"},
		{"PortZero", helloFor(name("alpha", "0")), unrecognizedName, "bad_name"},
		{"PortTooHigh", helloFor(name("alpha", "65536")), unrecognizedName, "bad_name"},
		{"NotAHostName", helloFor(name("alpha", "+80")), unrecognizedName, "bad_hello"},
		{"HTTP2NameWithoutHTTP2InALPN", helloFor(name("alpha", "80g"), "http/1.1"), noApplicationProtocol, "no_protocol"},
		{"HTTP2AloneOnAPlainName", helloFor(name("alpha", "80"), "h2"), noApplicationProtocol, "no_protocol"},
		{"ValidationOfAName", helloFor(name("alpha", "80"), "acme-tls/1"), noApplicationProtocol, "no_protocol"},
		{"HTTP2AloneOnTheOwnName", helloFor("gateway."+domain, "h2"), noApplicationProtocol, "no_protocol"},
		{"NobodyListens", helloFor(name("alpha", "81s")), internalError, "dial_failed"},
		{"Garbage", []byte("\x00\x01\x02\x03 what is this?"), noAlert, "not_tls"},
		{"GarbageInsideOfARecord", append([]byte{22, 3, 1, 0, 40, 1, 0, 0, 36}, strings.Repeat("\xff", 36)...), decodeError, "bad_hello"},
		{"AnotherHandshakeMessage", gwtest.Records([]byte{2, 0, 0, 2, 3, 3}, 100), unexpectedMessage, "bad_hello"},
		{"AnEmptyRecord", []byte{22, 3, 1, 0, 0}, unexpectedMessage, "bad_hello"},
		{"HelloThatStopsHalfWay", helloFor(name("alpha", "80"))[:60], decodeError, "hello_timeout"},
		{"SilenceFromTheFirstByteOn", nil, noAlert, "hello_timeout"},
		{"HelloOf64KiBAndOneByte", gwtest.Hello{ServerName: name("alpha", "80"), Size: largestHello + 1}.Record(), illegalParameter, "hello_too_large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, g := w.in(t), g.in(t)
			series := fmt.Sprintf("gateway_connections_total{reason=%q}", tt.reason)
			before := g.metric(series)
			c := w.dial()
			start := time.Now()
			mustWrite(t, c, tt.bytes)
			wantAlert(t, c, tt.alert)
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %s", took)
			}
			c.Close()
			g.waitFor("the reason to be counted", series, before+1)
		})
	}

	g.mustHoldNoMoreThan(fds, goroutines)
	reached.(*net.TCPListener).SetDeadline(time.Now())
	if c, err := reached.Accept(); err == nil {
		c.Close()
		t.Error("a refused connection reached the instance")
	}
}

func TestPlainHTTPIsAnsweredInPlainHTTP(t *testing.T) {
	w := newWorld(t, "curl")
	g := w.start()
	c := w.dial()
	mustWrite(t, c, []byte("GET / HTTP/1.1\r\nHost: "+name("alpha", "")+"\r\n\r\n"))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusBadRequest || len(body) == 0 || err != nil {
		t.Errorf("%s %q %v", resp.Status, body, err)
	}
	g.waitFor("the reason", `gateway_connections_total{reason="plain_http"}`, 1)

	out, err := w.run("", "curl", "--silent", "--show-error", "--write-out", "code=%{http_code}", "http://"+gateway4+":443/")
	if err != nil || !strings.Contains(out, "code=400") {
		t.Errorf("curl: %v: %s", err, out)
	}
}

// Over a limit: access_denied, at once, and the place is free again after.
func TestLimitRefusesOneMoreAndFreesThePlace(t *testing.T) {
	for _, tt := range []struct{ key, reason string }{
		{"proxy.max_connections", "connection_limit"},
		{"proxy.max_connections_per_app", "app_limit"},
		{"proxy.max_connections_per_app_and_source", "source_limit"},
		{"proxy.max_connections_per_source", "source_limit"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			w := newWorld(t)
			g := w.start(setting{"proxy.max_connections_per_app_and_source", 0}, setting{tt.key, 2})
			w.flow(modes[0])
			second := w.flow(modes[2])

			c := w.dial()
			mustWrite(t, c, helloFor(name("alpha", "80s")))
			wantAlert(t, c, accessDenied)
			g.waitFor("the reason", fmt.Sprintf("gateway_connections_total{reason=%q}", tt.reason), 1)

			second.client.Close()
			second.instance.Close()
			g.waitFor("the second connection to end", "gateway_connections_open", 1)
			w.flow(modes[0]).mustEcho(t)
		})
	}
}

// A source that opens as many silent connections as an app may have keeps nobody else
// out, and one that says nothing at all counts as well.
func TestSilentHellosOfOneSourceDoNotShutAnAppOut(t *testing.T) {
	w := newWorld(t)
	g := w.start(setting{"proxy.max_connections_per_app", 40}, setting{"proxy.max_connections_per_source", 60})
	w.cvms[0].host.Listen(t, ":80") // its kernel takes connections, and nobody reads them
	refused := func(n int) func() bool {
		return func() bool { return g.metric(`gateway_connections_total{reason="source_limit"}`) == float64(n) }
	}
	for range 40 {
		mustWrite(t, w.dial(), helloFor(name("alpha", "80s")))
	}
	eventually(t, patience, "all but a quarter of the app's limit are refused", refused(30))
	for range 60 {
		w.dial()
	}
	eventually(t, patience, "silent clients beyond the limit per source are refused", refused(40))

	c, err := w.client.Dial(t.Context(), "["+gateway6+"]:"+tlsPort)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	mustWrite(t, c, helloFor(name("alpha", "80s")))
	g.waitFor("another source is served", "gateway_connections_open", 61)
	if n := g.metric(`gateway_connections_total{reason="app_limit"}`); n != 0 {
		t.Errorf("the app was shut out %v times", n)
	}
}
