package relay

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"sallyport/internal/gwtest"
	"sallyport/internal/hello"
)

// Peers that have TLS do much work for little.

func TestFloodOfEmptyRecordsEndsTheConnection(t *testing.T) {
	g := start(t, nil).to(serve(t, echo))
	c, f := g.forged()
	var sent []byte
	for range 1000 {
		for range 15 {
			sent = f.keyUpdate(sent, true)
		}
		sent = f.data(sent, 1)
	}
	_, _ = c.NetConn().Write(sent)
	if got := g.ended(); got != "empty_records" {
		t.Errorf("reason %s", got)
	}
}

func TestInstanceIsBoundedAsClientsAre(t *testing.T) {
	for reason, flood := range map[string]func(*forger) []byte{
		"instance_empty_records": func(f *forger) (b []byte) {
			for range 1000 {
				for range 15 {
					b = f.keyUpdate(b, true)
				}
				b = f.data(b, 1)
			}
			return b
		},
		"instance_bad_record": func(f *forger) []byte { // after all bytes have arrived
			return append(f.data(nil, 5000), bytes.Repeat([]byte{typeApplication, 3, 3, 0, 1}, 9)...)
		},
	} {
		t.Run(reason, func(t *testing.T) {
			a := newApps(t)
			g := start(t, nil).toTLS(a, serveForged(t, a.good(), func(raw *net.TCPConn, f *forger) {
				_, _ = raw.Write(flood(f))
				_, _ = io.Copy(io.Discard, raw)
			}))
			got, _ := io.ReadAll(g.tls())
			if reason == "instance_bad_record" && len(got) != 5000 {
				t.Errorf("%d bytes arrived", len(got))
			}
			if got := g.ended(); got != reason {
				t.Errorf("reason %s", got)
			}
		})
	}
}

// Turns must not forget what is inside of crypto/tls, nor what no event will tell again:
// the backend says nothing before it has all.
func TestManySmallRecordsAllArrive(t *testing.T) {
	const records, times = 20 * turnRecords, 5
	a := newApps(t)
	counts := func(c client) {
		for range times {
			if _, err := io.CopyN(io.Discard, c, records); err != nil {
				t.Errorf("the backend reads: %v", err)
			}
			_, _ = c.Write([]byte{1})
		}
		if n, err := io.Copy(io.Discard, c); n != records || err != nil {
			t.Errorf("the backend got %d bytes of %d before the end, %v", n, records, err)
		}
		_ = c.CloseWrite()
	}
	for name, g := range map[string]*gateway{
		"to plain":             start(t, nil).to(serve(t, func(c *net.TCPConn) { counts(c) })),
		"encrypted again":      start(t, nil).toTLS(a, serveTLS(t, a.good(), func(c *tls.Conn) { counts(c) })),
		"again, in user space": start(t, inUserSpace).toTLS(a, serveTLS(t, a.good(), func(c *tls.Conn) { counts(c) })),
	} {
		t.Run(name, func(t *testing.T) {
			c, f := g.forged()
			for range times {
				write(t, c.NetConn(), f.data(nil, records))
				readExactly(t, c, 1)
			}
			closeNotify := []byte{1, 0}
			write(t, c.NetConn(), f.record(f.data(nil, records), typeAlert, closeNotify, 0))
			if got := g.ended(); got != "client_closed" {
				t.Errorf("reason %s", got)
			}
		})
	}
}

// The hello may come in records of one byte: a post-quantum one is 1,500 of them.
func TestHelloInTinyRecordsIsAnswered(t *testing.T) {
	g := start(t, nil).to(serve(t, echo))
	r := &recorder{}
	_ = tls.Client(r, &tls.Config{ServerName: "tls.test"}).Handshake()
	raw := g.dial()
	write(t, raw, gwtest.Records(helloOnly(r.Bytes())[recordHeader:], 1))
	if head := readExactly(t, raw, recordHeader); head[0] != typeHandshake {
		t.Errorf("answered by a record of type %d", head[0])
	}
}

// In TLS 1.2 a handshake message may come in records of one byte, in the clear.
func TestHandshakeInTinyRecordsEnds(t *testing.T) {
	g := start(t, nil).to(serve(t, echo))
	r := &recorder{}
	_ = tls.Client(r, &tls.Config{ServerName: "tls.test", MaxVersion: tls.VersionTLS12}).Handshake()
	raw := g.dial()
	hello := helloOnly(r.Bytes())
	write(t, raw, hello)
	const clientKeyExchange, length = 16, 60000
	var sent []byte
	for _, b := range binary.BigEndian.AppendUint32(nil, clientKeyExchange<<24|length) {
		sent = append(sent, typeHandshake, 3, 3, 0, 1, b)
	}
	records := len(hello)/(recordHeader+1) + handshakeRecords
	sent = append(sent, bytes.Repeat([]byte{typeHandshake, 3, 3, 0, 1, 0}, records)...)
	write(t, raw, sent)
	// It waits for some 59,000 bytes more, if it has not given up.
	if got := g.ended(); got != "handshake_failed" {
		t.Errorf("reason %s", got)
	}
}

// A hello of 64 KiB may have 30,000 elements in its lists.
func TestHelloWithTooManyEntriesEnds(t *testing.T) {
	protocols := make([]string, helloEntries)
	for i := range protocols {
		protocols[i] = "x"
	}
	for name, want := range map[string]string{"tls.test": "hello_too_large", "raw.test": "client_closed"} {
		g := start(t, nil).to(serve(t, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) }))
		c := g.dial()
		write(t, c, gwtest.Hello{ServerName: name, ALPN: protocols}.Record())
		_ = c.CloseWrite()
		if got := g.ended(); got != want {
			t.Errorf("%s: reason %s", name, got)
		}
	}
}

// The second hello, after a HelloRetryRequest, is not for the parser of hellos.
func TestLargeSecondHelloEnds(t *testing.T) {
	g := start(t, nil).to(serve(t, echo))
	c := g.dial()
	first := gwtest.Hello{ServerName: "tls.test"} // without a key share
	write(t, c, first.Record())
	if head := readExactly(t, c, recordHeader); head[0] != typeHandshake {
		t.Fatalf("no HelloRetryRequest but % x", head)
	}
	second := gwtest.Hello{ServerName: "tls.test", Size: 60000}.Record()
	second[2] = 3 // the version of a record but the first
	write(t, c, second[:len(first.Record())+handshakeBytes])
	// It waits for the rest, if it has not given up.
	if got := g.ended(); got != "handshake_failed" {
		t.Errorf("reason %s", got)
	}
}

func TestClientThatIsAskedForACertificateMaySendALargeOne(t *testing.T) {
	cert, _ := certificate(t)
	for range 40 { // 16 kB
		cert.Certificate = append(cert.Certificate, cert.Certificate[0])
	}
	g := start(t, func(_ *gateway, o *Options) {
		route := o.Route
		o.Route = func(h *hello.Hello, from netip.AddrPort, d *Decision) {
			route(h, from, d)
			d.TLS = d.TLS.Clone()
			d.TLS.ClientAuth = tls.RequireAnyClientCert
		}
	}).to(serve(t, echo))
	c := tls.Client(g.dial(), &tls.Config{ServerName: "tls.test", RootCAs: g.roots, Certificates: []tls.Certificate{cert}})
	write(t, c, []byte("hello"))
	if got := readExactly(t, c, 5); string(got) != "hello" {
		t.Errorf("got %q", got)
	}
}

// A hostile instance has a message of its handshake come in tiny records.
func TestInstanceHandshakeInTinyRecordsEnds(t *testing.T) {
	a := newApps(t)
	g := start(t, nil).toTLS(a, serve(t, func(raw *net.TCPConn) {
		readHelloFrom(t, raw)
		sent := []byte{typeHandshake, 3, 3, 0, 4, 2, 0, 0xff, 0} // a ServerHello of 65,280 bytes
		sent = append(sent, bytes.Repeat([]byte{typeHandshake, 3, 3, 0, 1, 0}, handshakeRecords)...)
		_, _ = raw.Write(sent)
		_, _ = io.Copy(io.Discard, raw)
	}))
	_ = tls.Client(g.dial(), &tls.Config{ServerName: "tls.test", RootCAs: g.roots}).Handshake()
	line := g.log.wait(t, "msg=connection ")
	if !strings.Contains(line, "reason=attestation_failed") || !strings.Contains(line, errRecords.Error()) {
		t.Error(line)
	}
}
