package hello

import (
	"crypto/tls"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// corpus returns the recorded hellos of testdata (README.md says whose).
func corpus(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/*.bin")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded hellos: %v", err)
	}
	hellos := map[string][]byte{}
	for _, file := range files {
		stream, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		hellos[strings.TrimSuffix(filepath.Base(file), ".bin")] = stream
	}
	return hellos
}

// chromeLike returns what Chrome sends: GREASE at both ends, a key share with
// ML-KEM, ECH, ALPS, all but the GREASE shuffled (RFC 8701, RFC 9849).
func chromeLike(rng *rand.Rand) clientHello {
	inner := []extension{
		serverName(appName),
		alpn("h2", "http/1.1"),
		versions(0xdada, tls.VersionTLS13, tls.VersionTLS12),
		{10, []byte("\x00\x0a\x3a\x3a\x11\xec\x00\x1d\x00\x17\x00\x18")}, // supported_groups
		{11, []byte("\x01\x00")},                                         // ec_point_formats
		{13, []byte("\x00\x04\x04\x03\x08\x04")},                         // signature_algorithms
		{23, nil},                                                        // extended_master_secret
		{27, []byte("\x02\x00\x02")},                                     // compress_certificate
		{35, nil},                                                        // session_ticket
		{45, []byte("\x01\x01")},                                         // psk_key_exchange_modes
		{51, append([]byte("\x04\xcd\x3a\x3a\x00\x01\x00\x11\xec\x04\xc4"), make([]byte, 1220)...)}, // key_share
		{0x44cd, []byte("\x00\x03\x02h2")}, // ALPS
		{0xff01, []byte("\x00")},           // renegotiation_info
		{0xfe0d, append([]byte("\x00\x00\x01\x00\x01\x2a\x00\x20"), make([]byte, 32+2+144)...)}, // ECH
	}
	inner[13].data[8+32+1] = 144
	rng.Shuffle(len(inner), func(i, j int) { inner[i], inner[j] = inner[j], inner[i] })
	all := append([]extension{{0x4a4a, nil}}, inner...)
	return clientHello{session: make([]byte, 32), extensions: append(all, extension{0xbaba, []byte{0}})}
}

func TestRecordedHellos(t *testing.T) {
	offers := map[string][]string{
		"chromium": {"h2", "http/1.1"}, "firefox": {"h2", "http/1.1"}, "curl": {"h2", "http/1.1"},
		"openssl": {"h2", "http/1.1"}, "gnutls": {"h2", "http/1.1"}, "java": {"h2", "http/1.1"},
	}
	for client, stream := range corpus(t) {
		t.Run(client, func(t *testing.T) {
			h, done, err := parse(stream, everyByte(stream)...)
			name, max := appName, uint16(tls.VersionTLS13)
			switch client {
			case "openssl-no-name":
				name = ""
			case "openssl-tls12":
				max = tls.VersionTLS12
			}
			wantName(t, h, done, err, name)
			if h.Length != len(stream) || h.Versions.Max() != max {
				t.Errorf("got length %d, version %04x; want %d, %04x", h.Length, h.Versions.Max(), len(stream), max)
			}
			info, err := oracle(stream)
			if info == nil {
				t.Fatalf("crypto/tls refuses it: %v", err)
			}
			wantSame(t, h, info)
			if !slices.Equal(info.SupportedProtos, offers[client]) {
				t.Errorf("got ALPN %q, want %q", info.SupportedProtos, offers[client])
			}
		})
	}
}

func TestGoHello(t *testing.T) {
	stream := goHello(t, appName, "h2", "http/1.1")
	h, done, err := parse(stream)
	wantName(t, h, done, err, appName)
	info, err := oracle(stream)
	if info == nil {
		t.Fatalf("crypto/tls refuses it: %v", err)
	}
	wantSame(t, h, info)
}

func TestShuffledHelloWithGreaseAndECHGivesTheOuterName(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		stream := records(chromeLike(rng).message())
		h, done, err := parse(stream)
		wantName(t, h, done, err, appName)
		info, err := oracle(stream)
		if info == nil {
			t.Fatalf("crypto/tls refuses it: %v", err)
		}
		wantSame(t, h, info)
	}
}
