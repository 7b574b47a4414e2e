package relay

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sallyport/internal/hello"
)

// alertIn reads to the EOF and returns the alert that came before it, or
// alertNone. Anything but one plaintext alert fails the test.
func alertIn(t *testing.T, c net.Conn) int {
	t.Helper()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("the refusal ended with %v after % x", err, b)
	}
	if len(b) == 0 {
		return alertNone
	}
	if len(b) != 7 || string(b[:6]) != "\x15\x03\x03\x00\x02\x02" {
		t.Fatalf("not one alert: % x", b)
	}
	return int(b[6])
}

func TestRefusalsTellTheClient(t *testing.T) {
	valid := helloFor(t, "raw.test")
	broken := append([]byte(nil), valid...)
	broken[5] = 2 // a ServerHello
	for _, test := range []struct {
		name   string
		send   []byte
		alert  int
		reason Reason
	}{
		{"garbage", []byte("\x80garbage"), alertNone, NotTLS},
		{"a server's message", broken, 10, BadHello},
		{"record of 16 KiB + 1", []byte("\x16\x03\x01\x40\x01"), 22, BadHello},
		{"message of 64 KiB + 1", []byte("\x16\x03\x01\x40\x00\x01\x01\x00\x01"), 47, HelloTooLarge},
		{"SSLRequest twice", []byte(sslRequest + sslRequest), alertNone, NotTLS},
		{"no candidate", valid, alertInternalError, NoHealthyInstance},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := start(t, nil)
			c := g.dial()
			write(t, c, test.send)
			if strings.HasPrefix(string(test.send), sslRequest) {
				readExactly(t, c, 1)
			}
			if got := alertIn(t, c); got != test.alert {
				t.Errorf("alert %d, want %d", got, test.alert)
			}
			if got := g.ended(); got != test.reason.String() {
				t.Errorf("reason %s, want %s", got, test.reason)
			}
		})
	}
}

func TestPlainHTTPIsAnswered(t *testing.T) {
	g := start(t, nil)
	c := g.dial()
	write(t, c, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := strings.Cut(string(b), "\r\n\r\n")
	if !strings.HasPrefix(head, "HTTP/1.1 400 ") || !strings.Contains(head, "Content-Length: 45") || len(body) != 45 {
		t.Errorf("answer %q", b)
	}
	if got := g.ended(); got != "plain_http" {
		t.Errorf("reason %s", got)
	}
}

// libpq goes on to TLS after an ErrorResponse (sslmode=allow), and shows its message
// otherwise.
func TestPostgresClientWithoutTLSIsToldWhatToDo(t *testing.T) {
	for name, first := range map[string]string{
		"protocol 3.0":               "\x00\x00\x00\x17\x00\x03\x00\x00user\x00postgres\x00\x00",
		"protocol 3.2, of libpq 18":  "\x00\x00\x00\x17\x00\x03\x00\x02user\x00postgres\x00\x00",
		"behind a declined GSSAPI":   gssEncRequest + "\x00\x00\x00\x17\x00\x03\x00\x00user\x00postgres\x00\x00",
		"of which the head has come": "\x00\x00\x27\x10\x00\x03\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, nil)
			c := g.dial()
			write(t, c, []byte(first))
			b, err := io.ReadAll(c)
			if err != nil {
				t.Fatal(err)
			}
			b = bytes.TrimPrefix(b, []byte("N"))
			if len(b) < 5 || b[0] != 'E' || int(binary.BigEndian.Uint32(b[1:])) != len(b)-1 {
				t.Fatalf("not one ErrorResponse: %q", b)
			}
			fields := map[byte]string{}
			for f := range strings.SplitSeq(strings.TrimRight(string(b[5:]), "\x00"), "\x00") {
				fields[f[0]] = f[1:]
			}
			if fields['S'] != "FATAL" || fields['C'] != "28000" || !strings.Contains(fields['M'], "sslmode=require") {
				t.Errorf("fields %q", fields)
			}
			if got := g.ended(); got != "postgres_plain" {
				t.Errorf("reason %s", got)
			}
		})
	}
}

func TestWhatIsNotPostgresIsNotAnsweredAsSuch(t *testing.T) {
	for name, first := range map[string]string{
		"protocol 2":           "\x00\x00\x01\x28\x00\x02\x00\x00",
		"a length of itself":   "\x00\x00\x00\x08\x00\x03\x00\x00",
		"more than PostgreSQL": "\x00\x00\x27\x11\x00\x03\x00\x00",
		"a CancelRequest":      cancelRequest + "\x00\x00\x00\x01\x01\x02\x03\x04",
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, nil)
			c := g.dial()
			write(t, c, []byte(first))
			if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
				t.Errorf("%q, %v", b, err)
			}
			line := g.log.wait(t, "msg=connection ")
			if !strings.Contains(line, "reason=not_tls ") || strings.Contains(line, "CancelRequest") != strings.Contains(name, "Cancel") {
				t.Errorf("the log says %s", line)
			}
		})
	}
}

func TestRouteRefusalsCarryTheirAlert(t *testing.T) {
	for reason, alert := range map[Reason]int{
		NoServerName: alertUnrecognizedName, UnknownDomain: alertUnrecognizedName, UnknownApp: alertUnrecognizedName,
		BadName: alertUnrecognizedName, PortDenied: alertAccessDenied, NoProtocol: alertNoApplicationProtocol,
	} {
		g := start(t, func(_ *gateway, o *Options) {
			o.Route = func(_ *hello.Hello, _ netip.AddrPort, d *Decision) { d.Refuse = reason }
		})
		if got := alertIn(t, g.pass()); got != alert {
			t.Errorf("%s: alert %d, want %d", reason, got, alert)
		}
		if got := g.ended(); got != reason.String() {
			t.Errorf("reason %s, want %s", got, reason)
		}
	}
}

// A client that has more to say than its hello must still be able to read why it
// was refused: closing with bytes unread would reset the connection.
func TestAlertSurvivesBytesUnderWay(t *testing.T) {
	g := start(t, nil)
	c := g.dial()
	write(t, c, append(helloFor(t, "raw.test"), make([]byte, 50<<10)...))
	if got := alertIn(t, c); got != alertInternalError {
		t.Errorf("alert %d", got)
	}
}

func TestPanicInRouteEndsOneConnectionOnly(t *testing.T) {
	g := start(t, func(_ *gateway, o *Options) {
		route := o.Route
		o.Route = func(h *hello.Hello, a netip.AddrPort, d *Decision) {
			if string(h.ServerName) == "panic.test" {
				panic("boom")
			}
			route(h, a, d)
		}
	}).to(afterHello(t, echo))
	other := g.pass()
	c := g.dial()
	write(t, c, helloFor(t, "panic.test"))
	if got := alertIn(t, c); got != alertInternalError {
		t.Errorf("alert %d", got)
	}
	write(t, other, []byte("x"))
	readExactly(t, other, 1)
	g.log.wait(t, "boom")
}

func TestSilentAndSlowClientsMeetTheHelloDeadline(t *testing.T) {
	for name, send := range map[string][]byte{"silent": nil, "half a hello": helloFor(t, "raw.test")[:100]} {
		t.Run(name, func(t *testing.T) {
			g := start(t, func(_ *gateway, o *Options) { o.Timeouts.Hello = 50 * time.Millisecond })
			c := g.dial()
			write(t, c, send)
			want := alertNone
			if send != nil {
				want = alertDecodeError
			}
			if got := alertIn(t, c); got != want {
				t.Errorf("alert %d, want %d", got, want)
			}
			line := g.log.wait(t, "msg=connection ")
			if !strings.Contains(line, "reason=hello_timeout") || strings.Contains(line, "sent nothing") != (send == nil) {
				t.Errorf("the log says %s", line)
			}
		})
	}
}

func TestConnectionsOverTheLimitAreToldSo(t *testing.T) {
	g := start(t, func(_ *gateway, o *Options) { o.MaxConnections = 1 }).to(afterHello(t, echo))
	first := g.pass()
	write(t, first, []byte("x"))
	readExactly(t, first, 1)
	if got := alertIn(t, g.dial()); got != alertAccessDenied {
		t.Errorf("alert %d", got)
	}
	if got := g.ended(); got != "connection_limit" {
		t.Errorf("reason %s", got)
	}
}

func TestSourceLimitCountsAnAddress(t *testing.T) {
	g := start(t, func(_ *gateway, o *Options) { o.MaxPerSource = 1 }).to(afterHello(t, echo))
	first := g.pass()
	write(t, first, []byte("x"))
	readExactly(t, first, 1)
	if got := alertIn(t, g.pass()); got != alertAccessDenied {
		t.Errorf("alert %d", got)
	}
	if got := g.ended(); got != "source_limit" {
		t.Errorf("reason %s", got)
	}
	first.Close()
	g.ended()
	again := g.pass()
	write(t, again, []byte("x"))
	readExactly(t, again, 1)
}

func TestEveryReasonHasAName(t *testing.T) {
	seen := map[string]bool{}
	for r := goOn + 1; r < reasons; r++ {
		if name := r.String(); name == "" || seen[name] {
			t.Errorf("reason %d: name %q", r, name)
		}
		seen[r.String()] = true
	}
}
