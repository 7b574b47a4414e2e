package attack

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
)

// shake makes a TLS 1.3 handshake with crypto/tls and takes over what the client sends
// after it: crypto/tls must not write to c again.
func shake(ctx context.Context, c net.Conn, serverName string) (*sealer, error) {
	var secret clientSecret
	client := tls.Client(c, &tls.Config{
		ServerName: serverName, MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519},
		InsecureSkipVerify: true, // it sends the server nothing secret
		KeyLogWriter:       &secret,
	})
	if err := client.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	// Its first choice, and every server's that takes the client's order.
	if suite := client.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		return nil, fmt.Errorf("the target chose %s: only TLS_AES_128_GCM_SHA256 is spoken here", tls.CipherSuiteName(suite))
	}
	if secret == nil {
		return nil, errors.New("crypto/tls logged no traffic secret")
	}
	return newSealer(secret)
}

// A clientSecret is the first secret of what a client sends, taken from the lines of a key
// log: label, client random and secret, each in hex (RFC 9850).
type clientSecret []byte

const clientTraffic = "CLIENT_TRAFFIC_SECRET_0"

// Write implements io.Writer; crypto/tls writes whole lines.
func (s *clientSecret) Write(line []byte) (int, error) {
	fields := bytes.Fields(line)
	if len(fields) == 3 && string(fields[0]) == clientTraffic {
		secret, err := hex.DecodeString(string(fields[2]))
		if err != nil {
			return 0, err
		}
		*s = secret
	}
	return len(line), nil
}
