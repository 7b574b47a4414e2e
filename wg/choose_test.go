package wg

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func autoOptions(t *testing.T) Options {
	return Options{
		Mode: ModeAuto, Interface: unusedName(), PrivateKey: newKey(t), Address: netip.MustParsePrefix("10.8.0.1/16"),
	}
}

func TestAutoTakesTheBestModeThatThisHostHas(t *testing.T) {
	h := newHost(t)
	want := ModeUserspace
	if _, err := os.Stat("/sys/module/wireguard"); err == nil {
		want = ModeKernel
	}
	o := autoOptions(t)
	if d := h.open(o); d.Mode() != want {
		t.Errorf("mode %s, want %s", d.Mode(), want)
	}
}

func TestAutoWithoutPrivilegeIsNetstack(t *testing.T) {
	h := newHost(t)
	var log bytes.Buffer
	o := autoOptions(t)
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	h.do(func() {
		dropCapability(t, unix.CAP_NET_ADMIN) // of this thread, which ends with do
		d, err := Open(t.Context(), o)
		must(t, err)
		defer d.Close()
		if d.Mode() != ModeNetstack {
			t.Errorf("mode %s", d.Mode())
		}
		must(t, d.Ready())
	})
	if text := log.String(); !strings.Contains(text, "mode kernel") || !strings.Contains(text, "mode userspace") {
		t.Errorf("the log does not say why not kernel, userspace: %s", text)
	}
}

func TestAutoPassesOverWhatIsNotPossible(t *testing.T) {
	missing := func(Options) (backend, error) { return nil, fmt.Errorf("%w: no such thing", errNotPossible) }
	broken := func(Options) (backend, error) { return nil, errors.New("port in use") }
	works := func(Options) (backend, error) { return &noTunnel{}, nil }
	for _, tc := range []struct {
		kernel, userspace, netstack opener
		want                        Mode
	}{
		{works, broken, broken, ModeKernel},
		{missing, works, broken, ModeUserspace},
		{missing, missing, works, ModeNetstack},
		{broken, works, works, ""}, // not for auto to decide
		{missing, missing, missing, ""},
	} {
		d, err := open(t.Context(), autoOptions(t), map[Mode]opener{
			ModeKernel: tc.kernel, ModeUserspace: tc.userspace, ModeNetstack: tc.netstack,
		})
		switch {
		case err == nil && d.Mode() != tc.want:
			t.Errorf("mode %s, want %q", d.Mode(), tc.want)
		case err != nil && tc.want != "":
			t.Errorf("want %s: %v", tc.want, err)
		}
	}
}

func TestKernelModeWithoutTheModuleSaysSo(t *testing.T) {
	if _, err := os.Stat("/sys/module/wireguard"); err == nil {
		t.Skip("the kernel has WireGuard")
	}
	h := newHost(t)
	o := autoOptions(t)
	o.Mode = ModeKernel
	h.do(func() {
		_, err := Open(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), "modprobe wireguard") {
			t.Errorf("error %v", err)
		}
	})
	nothingLeft(t, h, o.Interface)
}

// google/nftables alone would wait for ever for what such a kernel never answers.
func TestKernelWithoutPacketFilterIsReportedAndAutoGoesOn(t *testing.T) {
	if c, err := nftables.New(); err != nil {
		t.Fatal(err)
	} else if _, err := c.ListTables(); err == nil {
		t.Skip("the kernel has nf_tables")
	}
	o := autoOptions(t)
	for _, o.Mode = range []Mode{ModeKernel, ModeUserspace} {
		if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "modprobe nf_tables") {
			t.Errorf("mode %s: error %v", o.Mode, err)
		}
		if _, err := netlink.LinkByName(o.Interface); err == nil {
			t.Errorf("mode %s: interface %s is left", o.Mode, o.Interface)
		}
	}
	var log bytes.Buffer
	o.Mode, o.Log = ModeAuto, slog.New(slog.NewTextHandler(&log, nil))
	d, err := Open(t.Context(), o)
	must(t, err)
	defer d.Close()
	if d.Mode() != ModeNetstack || !strings.Contains(log.String(), "modprobe nf_tables") {
		t.Errorf("mode %s, log %s", d.Mode(), log.String())
	}
}

func TestGuestNeedsNoPacketFilter(t *testing.T) {
	h := newHost(t)
	o := autoOptions(t)
	o.Mode, o.Guest = tunnelMode(), true
	must(t, h.open(o).Ready())
}

func TestModeNoneCountsEveryPeerAsAlive(t *testing.T) {
	d, err := Open(t.Context(), Options{Mode: ModeNone})
	must(t, err)
	defer d.Close()
	must(t, d.SetPeer(t.Context(), Peer{Key: keyNumber(1), Address: netip.MustParseAddr("127.0.0.1")}))
	at, err := d.Handshakes(t.Context())
	must(t, err)
	if len(at) != 1 || at[keyNumber(1)].IsZero() {
		t.Errorf("handshakes %v", at)
	}
	if _, err := d.Dial(t.Context(), netip.MustParseAddrPort("127.0.0.1:1")); err == nil {
		t.Error("dialled")
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(*Options){
		"unknown mode":       func(o *Options) { o.Mode = "fast" },
		"no name":            func(o *Options) { o.Interface = "" },
		"a path":             func(o *Options) { o.Interface = "../wg0" },
		"dots":               func(o *Options) { o.Interface = ".." },
		"every interface":    func(o *Options) { o.Interface = "all" },
		"a template":         func(o *Options) { o.Interface = "wg%d" },
		"a long name":        func(o *Options) { o.Interface = "wg-0123456789abc" },
		"no key":             func(o *Options) { o.PrivateKey = PrivateKey{} },
		"port too high":      func(o *Options) { o.ListenPort = 65536 },
		"mtu too small":      func(o *Options) { o.MTU = 575 },
		"mtu too large":      func(o *Options) { o.MTU = 65536 },
		"no address":         func(o *Options) { o.Address = netip.Prefix{} },
		"IPv6":               func(o *Options) { o.Address = netip.MustParsePrefix("fd00::1/64") },
		"no room for guests": func(o *Options) { o.Address = netip.MustParsePrefix("10.8.0.1/32") },
	} {
		t.Run(name, func(t *testing.T) {
			o := autoOptions(t)
			spoil(&o)
			if _, err := open(t.Context(), o, nil); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestSegmentFitsIntoTheTunnel(t *testing.T) {
	if got := MSS(1420); got != 1380 {
		t.Errorf("MSS(1420) = %d", got)
	}
}
