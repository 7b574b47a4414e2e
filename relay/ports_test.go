package relay

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPortsAreOfTheRangesUpperParityAndNotReserved(t *testing.T) {
	p := ports{low: 1000, n: 100, reserved: [][2]int{{1003, 1003}, {1011, 1050}}}
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
	for _, p := range []ports{{}, {low: 5000, n: 1}, {low: 1000, n: 10, reserved: [][2]int{{1, 65535}}}} {
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
		if got := portList(text); !reflect.DeepEqual(got, want) {
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
		{"bound by another", unix.EADDRINUSE, portTries + 1},
		{"connected already", fmt.Errorf("dial: %w", unix.EADDRNOTAVAIL), portTries + 1},
	} {
		p, tries, last := ports{low: 1000, n: 1000}, 0, uint16(1)
		err := p.comingFrom(to, func(port uint16) error {
			tries++
			last = port
			return tt.err
		})
		if !errors.Is(err, tt.err) || tries != tt.tries || (last == 0) != (tries > portTries) {
			t.Errorf("%s: %v after %d tries, the last from %d", tt.name, err, tries, last)
		}
	}
}
