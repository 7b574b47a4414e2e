package localport

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPortsAreOfTheRangesUpperParityAndNotReserved(t *testing.T) {
	p := Range{low: 1000, n: 100, reserved: [][2]int{{1003, 1003}, {1011, 1050}}}
	seen := make(map[uint16]bool)
	for range 10_000 {
		port := p.pick(1001)
		if port == 0 {
			continue // eight were reserved in a row
		}
		if port < 1000 || port >= 1100 || port%2 == 0 || port == 1001 || p.isReserved(int(port)) {
			t.Fatalf("port %d", port)
		}
		seen[port] = true
	}
	if len(seen) != 50-1-1-20 {
		t.Errorf("%d ports are ever taken", len(seen))
	}
}

func TestKernelChoosesWhereTheRangeIsNotKnown(t *testing.T) {
	for _, p := range []Range{{}, {low: 5000, n: 1}, {low: 1000, n: 10, reserved: [][2]int{{1, 65535}}}} {
		if port := p.pick(80); port != 0 {
			t.Errorf("%+v: port %d", p, port)
		}
	}
}

func TestPortListsOfTheKernel(t *testing.T) {
	for text, want := range map[string][][2]int{
		"":               nil,
		"8080":           {{8080, 8080}},
		"8080,9000-9100": {{8080, 8080}, {9000, 9100}},
		"x,7-,5":         {{5, 5}},
	} {
		if got := parseList(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestOtherPortsAreTriedUntilOneIsNotTaken(t *testing.T) {
	to := netip.MustParseAddrPort("10.8.0.2:80")
	for _, tt := range []struct {
		name  string
		err   error
		tries int
	}{
		{"free", nil, 1},
		{"no route", unix.ENETUNREACH, 1},
		{"bound by another", unix.EADDRINUSE, tries + 1},
		{"connected already", fmt.Errorf("dial: %w", unix.EADDRNOTAVAIL), tries + 1},
	} {
		p, n, last := Range{low: 1000, n: 1000}, 0, uint16(1)
		err := p.Try(to, func(port uint16) error {
			n++
			last = port
			return tt.err
		})
		if !errors.Is(err, tt.err) || n != tt.tries || (last == 0) != (n > tries) {
			t.Errorf("%s: %v after %d tries, the last from %d", tt.name, err, n, last)
		}
	}
}
