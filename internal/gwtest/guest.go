package gwtest

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// GuestLink is the name of the tunnel's interface on a guest's host.
const GuestLink = "wg0"

// guestEnv makes a re-executed test binary a guest, and says which one.
const guestEnv = "GATEWAY_TEST_GUEST"

// ready is the line with which a guest says that its tunnel is up.
const ready = "guest ready"

// Guest is a CVM's side of a tunnel, made as a dstack guest makes it: a listen
// port, one /32, a keepalive of 25 s and an MTU of 1420.
type Guest struct {
	Key     wgtypes.Key // private
	Address netip.Addr

	Gateway  wgtypes.Key // public
	Endpoint netip.AddrPort
	Port     int // 0 is any

	// Allowed is what the guest sends into the tunnel and takes from it. An
	// honest one has the gateway's /32 here; the gateway must not rely on it.
	Allowed []netip.Prefix

	// Program is the binary to run, whose TestMain calls IsGuest and RunGuest: the
	// running test's own, or one built without the race detector, which makes a
	// tunnel ten times slower.
	Program string
}

// Start runs the guest's tunnel on h in a process of its own. It returns when
// the interface is up, which is before the first handshake.
func (g Guest) Start(t testing.TB, h *Host) *Process {
	t.Helper()
	spec, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), g.Program)
	cmd.Env = append(os.Environ(), guestEnv+"="+string(spec))
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = in
	p := h.Start(t, cmd)
	p.Name = "guest " + g.Address.String()
	in.Close()
	defer out.Close()
	line, err := bufio.NewReader(out).ReadString('\n')
	if strings.TrimSpace(line) != ready {
		t.Fatalf("%s did not start: %q, %v", p.Name, line, err)
	}
	return p
}

// IsGuest reports whether this process was started by Guest.Start.
func IsGuest() bool { return os.Getenv(guestEnv) != "" }

// RunGuest is the guest's process: it holds the tunnel until it is killed, and
// returns only if it cannot.
func RunGuest() error {
	var g Guest
	if err := json.Unmarshal([]byte(os.Getenv(guestEnv)), &g); err != nil {
		return fmt.Errorf("guest: %w", err)
	}
	dev, err := g.up()
	if err != nil {
		return fmt.Errorf("guest: %w", err)
	}
	fmt.Println(ready)
	<-dev.Wait()
	return errors.New("guest: the device was closed")
}

func (g Guest) up() (*device.Device, error) {
	t, err := tun.CreateTUN(GuestLink, 1420)
	if err != nil {
		return nil, err
	}
	dev := device.NewDevice(t, conn.NewDefaultBind(), device.NewLogger(device.LogLevelError, "guest: "))
	if err := dev.IpcSet(g.uapi()); err != nil {
		return nil, err
	}
	if err := dev.Up(); err != nil {
		return nil, err
	}
	link, err := netlink.LinkByName(GuestLink)
	if err != nil {
		return nil, err
	}
	err = netlink.AddrAdd(link, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(g.Address, 32))})
	if err != nil {
		return nil, fmt.Errorf("address: %w", err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return nil, err
	}
	for _, a := range g.Allowed {
		if err := netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(a), Scope: netlink.SCOPE_LINK}); err != nil {
			return nil, fmt.Errorf("route %s: %w", a, err)
		}
	}
	return dev, nil
}

// uapi is the configuration in the words of wireguard's own protocol.
func (g Guest) uapi() string {
	var b strings.Builder
	set := func(k string, v any) { _, _ = fmt.Fprintf(io.Writer(&b), "%s=%v\n", k, v) }
	set("private_key", hex.EncodeToString(g.Key[:]))
	set("listen_port", g.Port)
	set("public_key", hex.EncodeToString(g.Gateway[:]))
	set("endpoint", g.Endpoint)
	set("persistent_keepalive_interval", 25)
	for _, a := range g.Allowed {
		set("allowed_ip", a)
	}
	return b.String()
}
