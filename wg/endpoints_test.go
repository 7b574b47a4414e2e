package wg

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/vm"
)

func keyNumber(n byte) vm.WGKey { return vm.WGKey{31: n} }

func sampleEndpoints() map[vm.WGKey]netip.AddrPort {
	return map[vm.WGKey]netip.AddrPort{
		keyNumber(1): netip.MustParseAddrPort("203.0.113.9:51820"),
		keyNumber(2): netip.MustParseAddrPort("[2001:db8::1]:9182"),
	}
}

func TestEndpointsSurviveTheFile(t *testing.T) {
	data, err := encodeEndpoints(sampleEndpoints())
	must(t, err)
	got, err := decodeEndpoints(bytes.NewReader(data))
	must(t, err)
	if !maps.Equal(got, sampleEndpoints()) {
		t.Errorf("got %v", got)
	}
}

func TestEndpointsFileIsReadWholeOrNotAtAll(t *testing.T) {
	line := func(n byte, ep string) string {
		return fmt.Sprintf(`{"key":"%s","endpoint":"%s"}`, keyNumber(n), ep) + "\n"
	}
	const head = `{"version":1,"count":1}` + "\n"
	good := line(1, "203.0.113.9:51820")
	for name, text := range map[string]string{
		"empty":              "",
		"no header":          good,
		"another version":    `{"version":2,"count":1}` + "\n" + good,
		"too many announced": `{"version":1,"count":65537}` + "\n" + good,
		"negative count":     `{"version":1,"count":-1}` + "\n",
		"cut off":            head,
		"cut in a line":      head + good[:len(good)/2],
		"one too many":       head + good + line(2, "203.0.113.9:51820"),
		"a key twice":        `{"version":1,"count":2}` + "\n" + good + good,
		"zero key":           head + line(0, "203.0.113.9:51820"),
		"short key":          head + `{"key":"AAAA","endpoint":"203.0.113.9:51820"}` + "\n",
		"a name":             head + line(1, "gateway.example:51820"),
		"no port":            head + line(1, "203.0.113.9:0"),
		"everybody":          head + line(1, "255.255.255.255:51820"),
		"multicast":          head + line(1, "224.0.0.1:51820"),
		"unspecified":        head + line(1, "[::]:51820"),
		"a zone":             head + line(1, "[fe80::1%eth0]:51820"),
		"mapped IPv4":        head + line(1, "[::ffff:203.0.113.9]:51820"),
		"unknown field":      head + strings.Replace(good, "{", `{"x":1,`, 1),
		"two values a line":  head + strings.TrimSpace(good) + "1\n",
		"injected line":      head + line(1, `203.0.113.9:51820\n`),
		"endless line":       head + strings.Repeat(" ", maxEndpointLine+1),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := decodeEndpoints(strings.NewReader(text)); err == nil || got != nil {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestDamagedEndpointsFileIsPutAside(t *testing.T) {
	for name, content := range map[string]func(path string) error{
		"garbage":  func(path string) error { return os.WriteFile(path, []byte("garbage"), 0o600) },
		"too long": func(path string) error { return os.WriteFile(path, make([]byte, maxEndpointsBytes+1), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "endpoints")
			must(t, content(path))
			var log bytes.Buffer
			got, err := loadEndpoints(path, slog.New(slog.NewTextHandler(&log, nil)))
			must(t, err)
			aside, err := filepath.Glob(path + ".damaged-*")
			must(t, err)
			if len(got) != 0 || len(aside) != 1 || !strings.Contains(log.String(), aside[0]) {
				t.Errorf("got %v, kept %q, logged %s", got, aside, &log)
			}
			if _, err := os.Stat(path); err == nil {
				t.Error("the damaged file is still in its place")
			}
		})
	}
}

func TestMissingEndpointsFileIsNoEndpoints(t *testing.T) {
	got, err := loadEndpoints(filepath.Join(t.TempDir(), "none"), slog.New(slog.DiscardHandler))
	if err != nil || got == nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestEndpointsFileThatIsNoFileIsAnError(t *testing.T) {
	if _, err := loadEndpoints(t.TempDir(), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a directory was accepted")
	}
}

// What decodes encodes to something that decodes to the same; nothing panics.
func FuzzEndpoints(f *testing.F) {
	data, err := encodeEndpoints(sampleEndpoints())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"version":1,"count":0}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := decodeEndpoints(bytes.NewReader(data))
		if err != nil {
			return
		}
		again, err := encodeEndpoints(got)
		must(t, err)
		back, err := decodeEndpoints(bytes.NewReader(again))
		if err != nil || !maps.Equal(got, back) {
			t.Errorf("%v became %v, %v", got, back, err)
		}
	})
}
