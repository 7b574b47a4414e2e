package rpc

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"testing"
)

// What a registration that changes nothing costs here, without TLS and without
// the registrar.
func BenchmarkUnchangedRegistration(b *testing.B) {
	w := newWorld(b, nil)
	state := w.state()
	for _, g := range []int{0, 3} {
		b.Run(guests[g].version, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if a := w.direct(b.Context(), state, "/prpc/RegisterCvm?json", guests[g].body); a.Code != 200 {
					b.Fatal(a.Body)
				}
			}
		})
	}
}

// What it costs over the network as guests do it: a new connection, both sides
// with a certificate. The time has the guest's half in it.
func BenchmarkUnchangedRegistrationOverTLS(b *testing.B) {
	w := newWorld(b, nil)
	c := &tls.Config{RootCAs: w.root.pool(), ServerName: "gw.example", Certificates: []tls.Certificate{w.guest}}
	request := post("/prpc/RegisterCvm?json", guests[3].body)
	var sent, received int
	for b.Loop() {
		raw, err := net.Dial("tcp", w.addr)
		if err != nil {
			b.Fatal(err)
		}
		wire := &counter{Conn: raw}
		conn := tls.Client(wire, c)
		if _, err := io.WriteString(conn, request); err != nil {
			b.Fatal(err)
		}
		if a, err := readOne(bufio.NewReader(conn)); err != nil || a.status != 200 {
			b.Fatal(a, err)
		}
		conn.Close()
		sent, received = sent+wire.sent, received+wire.received
	}
	b.ReportMetric(float64(sent)/float64(b.N), "B-sent/op")
	b.ReportMetric(float64(received)/float64(b.N), "B-received/op")
}

// counter counts the bytes of a connection, which one goroutine uses.
type counter struct {
	net.Conn
	sent, received int
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.sent += n
	return n, err
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.received += n
	return n, err
}
