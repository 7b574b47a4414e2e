package hello

import "testing"

func TestLooksLikeHTTP(t *testing.T) {
	for stream, want := range map[string]bool{
		"GET / HTTP/1.1\r\n":         true,
		"OPTIONS * HTTP/1.1\r\n":     true,
		"CONNECT a:443 HTTP/1.1\r\n": true,
		"PRI * HTTP/2.0\r\n":         true,
		"GET ":                       true,
		"":                           false,
		"G":                          false,
		"GET":                        false,
		"GET\t/":                     false,
		"get / HTTP/1.1":             false,
		"GETX /":                     false,
		" GET /":                     false,
		"EHLO mail.example":          false,
		"SSH-2.0-OpenSSH_9.2":        false,
		"\x16\x03\x01\x02\x00":       false,
		"\x00\x00\x00\x08\x04\xd2":   false,
	} {
		if got := LooksLikeHTTP([]byte(stream)); got != want {
			t.Errorf("%q: got %v", stream, got)
		}
	}
}
