package gwtest

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// What crypto/tls sees in a built hello is what was asked for, however the
// hello is cut into records.
func TestHelloIsWellFormed(t *testing.T) {
	for _, h := range []Hello{
		{ServerName: "app-443s.gw.example"},
		{ServerName: "app.gw.example", ALPN: []string{"h2", "http/1.1"}, KeyShares: 5},
		{ServerName: "app.gw.example", Size: 60000},
		{},
	} {
		for _, size := range []int{16384, 100} {
			if h.Size > 0 && len(h.Message()) != h.Size {
				t.Errorf("%+v is %d bytes long", h, len(h.Message()))
			}
			got := seen(t, Records(h.Message(), size))
			if got.ServerName != h.ServerName || len(got.SupportedProtos) != len(h.ALPN) {
				t.Errorf("%+v in records of %d: crypto/tls sees %q, %q", h, size, got.ServerName, got.SupportedProtos)
			}
		}
	}
}

func seen(t *testing.T, records []byte) *tls.ClientHelloInfo {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	client.SetDeadline(time.Now().Add(10 * time.Second))
	go func() {
		_, _ = client.Write(records)       // the server may have seen enough
		_, _ = io.Copy(io.Discard, client) // its alert
	}()
	info := &tls.ClientHelloInfo{}
	stop := errors.New("seen")
	err := tls.Server(server, &tls.Config{GetConfigForClient: func(i *tls.ClientHelloInfo) (*tls.Config, error) {
		info = i
		return nil, stop
	}}).HandshakeContext(t.Context())
	if !errors.Is(err, stop) {
		t.Fatalf("crypto/tls: %v", err)
	}
	return info
}

func TestStreamIsItsSum(t *testing.T) {
	got, err := Digest(Stream(3, 1<<20))
	if err != nil || got != StreamSum(3, 1<<20) || got.N != 1<<20 {
		t.Errorf("%s, %v", got, err)
	}
	if got == StreamSum(4, 1<<20) {
		t.Error("two seeds give one stream")
	}
}
