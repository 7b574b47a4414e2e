package attack

import (
	"crypto/tls"
	"io"
	"net"
	"testing"

	"sallyport/internal/gwtest"
)

// crypto/tls is the oracle: it reads what a sealer writes, changes keys with it and
// answers each KeyUpdate.
func TestRecordsAreThoseThatCryptoTLSReads(t *testing.T) {
	const rows = 40
	row := func(s *sealer) (b []byte) {
		for range rowUpdates {
			var err error
			if b, err = s.keyUpdate(b); err != nil {
				t.Fatal(err)
			}
		}
		return s.data(b, []byte{'x'})
	}
	for name, test := range map[string]struct {
		write   func(s *sealer) []byte
		data    int
		answers int
	}{
		"data":            {func(s *sealer) []byte { return s.data(nil, make([]byte, 1000)) }, 1000, 0},
		"one byte each":   {func(s *sealer) []byte { return s.data(s.data(nil, []byte{1}), []byte{2}) }, 2, 0},
		"largest record":  {func(s *sealer) []byte { return s.data(nil, make([]byte, 1<<14)) }, 1 << 14, 0},
		"KeyUpdates only": {func(s *sealer) []byte { return row(s) }, 1, rowUpdates},
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan int64, 1)
			client := dialTLS(t, func(s *tls.Conn) {
				n, err := io.Copy(io.Discard, s)
				if err != nil {
					t.Errorf("after %d bytes: %v", n, err)
				}
				got <- n
				s.NetConn().Close()
			})
			s, err := shake(t.Context(), client, "app.gw.test")
			if err != nil {
				t.Fatal(err)
			}
			answers := make(chan int64, 1)
			go func() {
				n, _ := io.Copy(io.Discard, client)
				answers <- n
			}()
			for range rows {
				if _, err := client.Write(test.write(s)); err != nil {
					t.Fatal(err)
				}
			}
			closeNotify := s.seal(nil, 21, []byte{1, 0})
			if _, err := client.Write(closeNotify); err != nil {
				t.Fatal(err)
			}
			if n := <-got; n != int64(rows*test.data) {
				t.Errorf("the server read %d bytes, want %d", n, rows*test.data)
			}
			// The session ticket is a record too; an answer has 27 bytes.
			if n := <-answers; n < int64(rows*test.answers*27) || test.answers == 0 && n > 2000 {
				t.Errorf("%d bytes of answers", n)
			}
		})
	}
}

// dialTLS connects to a TLS server for app.gw.test whose one connection handle has.
func dialTLS(t *testing.T, handle func(*tls.Conn)) net.Conn {
	t.Helper()
	config := &tls.Config{Certificates: []tls.Certificate{gwtest.NewCA(t).Server(t, "app.gw.test")}}
	v := listen(t, func(c net.Conn, _ func([]byte)) {
		s := tls.Server(c, config)
		if s.HandshakeContext(t.Context()) == nil {
			handle(s)
		}
	})
	c, err := net.Dial("tcp", v.at.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
