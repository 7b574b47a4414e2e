package wg

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.zx2c4.com/wireguard/device"

	"sallyport/internal/vm"
)

// processControl controls a device of wireguard-go in this process, by calls that take
// and return the text of WireGuard's configuration protocol
// (https://www.wireguard.com/xplatform/): lines of key=value, with keys in hex. In a
// dump the lines of the device come first, then those of each peer after its
// public_key.
type processControl struct{ wgo *device.Device }

func (p processControl) configure(key PrivateKey, port int) error {
	return p.wgo.IpcSet(deviceText(key, port))
}

func (p processControl) start() error { return p.wgo.Up() }

func (p processControl) apply(c change) error { return p.wgo.IpcSet(c.text()) }

func (p processControl) dump() (state, error) {
	var b bytes.Buffer
	if err := p.wgo.IpcGetOperation(&b); err != nil {
		return state{}, err
	}
	return parseDump(&b)
}

// close leaves the device to its owner.
func (p processControl) close() error { return nil }

const maxUAPILine = 256

// deviceText returns the lines that set the device's key and port. They hold the private
// key: never log them.
func deviceText(k PrivateKey, port int) string {
	return fmt.Sprintf("private_key=%s\nlisten_port=%d\n", hex.EncodeToString(k.secret[:]), port)
}

// text returns c in the lines of the protocol.
func (c change) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "public_key=%s\n", hex.EncodeToString(c.key[:]))
	if c.remove {
		b.WriteString("remove=true\n")
		return b.String()
	}
	if c.endpoint.IsValid() {
		fmt.Fprintf(&b, "endpoint=%s\n", c.endpoint)
	}
	fmt.Fprintf(&b, "persistent_keepalive_interval=%d\n", int(keepalive.Seconds()))
	fmt.Fprintf(&b, "replace_allowed_ips=true\nallowed_ip=%s/32\n", c.address)
	return b.String()
}

// dumpReader collects one dump.
type dumpReader struct {
	state    state
	current  *peerLines
	finished int
}

type peerLines struct {
	key       vm.WGKey
	seen      peerState
	allowed   []netip.Prefix
	interval  time.Duration
	sec, nsec int64
}

// parseDump reads a whole dump, or none of it.
func parseDump(r io.Reader) (state, error) {
	d := dumpReader{state: state{peers: make(map[vm.WGKey]peerState)}}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, maxUAPILine), maxUAPILine)
	for lines.Scan() {
		key, value, ok := strings.Cut(lines.Text(), "=")
		if !ok {
			return state{}, errors.New("dump: a line without '='")
		}
		if err := d.line(key, value); err != nil {
			return state{}, fmt.Errorf("dump: %s: %w", key, err)
		}
	}
	if err := lines.Err(); err != nil {
		return state{}, fmt.Errorf("dump: %w", err)
	}
	if err := d.finish(); err != nil {
		return state{}, err
	}
	return d.state, nil
}

func (d *dumpReader) line(key, value string) (err error) {
	if key == "public_key" {
		return d.begin(value)
	}
	p := d.current
	if p == nil {
		if key == "listen_port" {
			d.state.listenPort, err = number[int](value, 65535)
		}
		return err // the private key above all is not kept
	}
	switch key {
	case "endpoint":
		p.seen.endpoint, err = netip.ParseAddrPort(value)
		p.seen.endpoint = netip.AddrPortFrom(p.seen.endpoint.Addr().Unmap(), p.seen.endpoint.Port())
	case "last_handshake_time_sec":
		p.sec, err = number[int64](value, 1<<40)
	case "last_handshake_time_nsec":
		p.nsec, err = number[int64](value, 999_999_999)
	case "persistent_keepalive_interval":
		var sec int
		sec, err = number[int](value, 65535)
		p.interval = time.Duration(sec) * time.Second
	case "allowed_ip":
		var prefix netip.Prefix
		prefix, err = netip.ParsePrefix(value)
		p.allowed = append(p.allowed, prefix)
	}
	return err
}

// begin starts the lines of a peer.
func (d *dumpReader) begin(value string) error {
	if err := d.finish(); err != nil {
		return err
	}
	raw, err := hex.DecodeString(value)
	if err != nil || len(raw) != len(vm.WGKey{}) {
		return errors.New("want 64 hex digits")
	}
	d.current = &peerLines{key: vm.WGKey(raw)}
	return nil
}

// finish keeps the current peer, whose lines are complete.
func (d *dumpReader) finish() error {
	p := d.current
	if p == nil {
		return nil
	}
	if d.finished++; d.finished > MaxPeers {
		return fmt.Errorf("dump: more than %d peers", MaxPeers)
	}
	p.seen.address = addressOf(p.allowed, p.interval)
	p.seen.handshake = handshakeTime(time.Unix(p.sec, p.nsec))
	d.state.peers[p.key] = p.seen
	return nil
}

func number[T int | int64](text string, most T) (T, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > int64(most) {
		return 0, fmt.Errorf("want 0 to %d", most)
	}
	return T(n), nil
}
