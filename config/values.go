package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/hostname"
)

// The values that a key can have: pure parsers. Each error says what was found
// and what would be right.

// parseDomain reads a base domain and folds it to lower case. A label of any
// length must still fit in front of it.
func parseDomain(s string) (string, error) {
	switch {
	case strings.HasPrefix(s, "*."):
		return "", fmt.Errorf("%s: write it without %q: the gateway serves the names below it", show(s), "*.")
	case strings.HasSuffix(s, "."):
		return "", fmt.Errorf("%s: write it without the dot at its end", show(s))
	case len(s) > hostname.MaxLength-hostname.MaxLabel-1:
		return "", fmt.Errorf("%s is too long: want at most %d bytes", show(s), hostname.MaxLength-hostname.MaxLabel-1)
	}
	return parseName(s)
}

// parseName reads a DNS name of letters, digits and hyphens and folds it to
// lower case. A text that could be an IPv4 address is refused.
func parseName(s string) (string, error) {
	labels := strings.Split(s, ".")
	for _, label := range labels {
		if !hostname.ValidLabel(label) {
			return "", fmt.Errorf("%s is not a DNS name: want labels of a-z, 0-9 and inner '-', such as \"gw.example.com\"; "+
				"other letters in their xn-- form", show(s))
		}
	}
	if last := labels[len(labels)-1]; last[0] >= '0' && last[0] <= '9' || len(s) > hostname.MaxLength {
		return "", fmt.Errorf("%s is not a DNS name: want one that does not end in a number, up to %d bytes", show(s), hostname.MaxLength)
	}
	return strings.ToLower(s), nil
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// parseEndpoint reads IPv4:port or name:port. A guest's firewall takes the text
// before the first ':' for the address, so IPv6 would cut its tunnel.
func parseEndpoint(s string) (Endpoint, error) {
	host, port, ok := strings.Cut(s, ":")
	n, err := strconv.ParseUint(port, 10, 16)
	if strings.Contains(port, ":") || strings.HasPrefix(host, "[") {
		return Endpoint{}, fmt.Errorf("%s: an IPv6 endpoint breaks the guests' firewall: want IPv4:port or name:port", show(s))
	}
	if !ok || err != nil || n == 0 {
		return Endpoint{}, fmt.Errorf("%s is not an endpoint: want IPv4:port or name:port with a port from 1 to 65535, such as \"203.0.113.7:51820\"", show(s))
	}
	e := Endpoint{Host: host, Port: uint16(n)}
	if ip, err := netip.ParseAddr(host); err == nil {
		if !isHost(ip) {
			return Endpoint{}, fmt.Errorf("%s is not an address that a guest can send to", show(host))
		}
		return e, nil
	}
	if e.Host, err = parseName(host); err != nil {
		return Endpoint{}, err
	}
	return e, nil
}

// parseListen reads IP:port. There is no default host: to listen everywhere,
// the file must say so.
func parseListen(s string) (netip.AddrPort, error) {
	host, port, ok := strings.Cut(s, ":")
	if _, err := strconv.ParseUint(port, 10, 16); ok && host == "" && err == nil {
		return netip.AddrPort{}, fmt.Errorf("%s has no address: want \"0.0.0.0:%s\" or \"[::]:%s\" for all addresses", show(s), port, port)
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil || a.Addr().Zone() != "" || a.Addr().Is4In6() || a.Addr().IsMulticast() {
		return netip.AddrPort{}, fmt.Errorf("%s is not an address to listen on: want IP:port, such as \"0.0.0.0:443\" or \"[::]:443\"", show(s))
	}
	return a, nil
}

// parseListenOrOff is parseListen with a word for none.
func parseListenOrOff(s string) (netip.AddrPort, error) {
	if s == "" || s == "off" {
		return netip.AddrPort{}, nil
	}
	return parseListen(s)
}

// parseNetwork reads a CIDR without host bits, or one address. Host bits are
// refused: 10.0.0.1/8 may have meant one address.
func parseNetwork(s string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(s); err == nil && ip.Zone() == "" && !ip.Is4In6() {
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%s is not a network: want one such as \"10.8.0.0/24\"", show(s))
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("%s has bits set behind its prefix: want %q, or %q for the one address", show(s), p.Masked(), p.Addr())
	}
	return p, nil
}

// parseNetwork4 is parseNetwork for IPv4 alone.
func parseNetwork4(s string) (netip.Prefix, error) {
	p, err := parseNetwork(s)
	if err == nil && !p.Addr().Is4() {
		return netip.Prefix{}, fmt.Errorf("%s is IPv6: guests have IPv4 addresses only", show(s))
	}
	return p, err
}

// parseOwnAddress reads the gateway's address in the tunnel with the prefix of
// the tunnel network.
func parseOwnAddress(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil || !p.Addr().Is4() || p.Bits() < 8 || p.Bits() > 30 {
		return netip.Prefix{}, fmt.Errorf("%s is not an address in a tunnel network: want IPv4/prefix with a prefix from 8 to 30, such as \"10.8.0.1/16\"", show(s))
	}
	if !usable(p, p.Addr()) {
		return netip.Prefix{}, fmt.Errorf("%s: %s is the network's own or broadcast address: want another address in it, such as \"%s/%d\"",
			show(s), p.Addr(), p.Masked().Addr().Next(), p.Bits())
	}
	return p, nil
}

// parseHost reads the address of one host.
func parseHost(s string) (netip.Addr, error) {
	ip, err := netip.ParseAddr(s)
	if err != nil || !isHost(ip) {
		return netip.Addr{}, fmt.Errorf("%s is not the address of a host: want one such as \"10.8.0.2\"", show(s))
	}
	return ip, nil
}

// isHost refuses what is not the address of one host. 0.0.0.0 would be dialled
// as the gateway itself.
func isHost(ip netip.Addr) bool {
	return ip.Zone() == "" && !ip.Is4In6() && !ip.IsUnspecified() && !ip.IsMulticast() && ip != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// usable reports whether ip may be a host's in the IPv4 network of p: inside,
// and neither its first nor its last address.
func usable(p netip.Prefix, ip netip.Addr) bool {
	first := p.Masked().Addr()
	return p.Contains(ip) && ip != first && p.Contains(ip.Next())
}

// The limits of a duration. Timers count in milliseconds.
const (
	minDuration = time.Millisecond
	maxDuration = 8760 * time.Hour
)

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%s is not a duration: want a number with its unit, such as \"250ms\", \"5s\" or \"10m\"", show(s))
	case d < minDuration || d > maxDuration:
		return 0, fmt.Errorf("%s is out of range: want \"1ms\" to \"8760h\"", show(s))
	}
	return d, nil
}

// parseDurationOrNever is parseDuration in which 0 means never.
func parseDurationOrNever(s string) (time.Duration, error) {
	if d, err := time.ParseDuration(s); err == nil && d == 0 {
		return 0, nil
	}
	d, err := parseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%w, or \"0s\" for never", err)
	}
	return d, nil
}

// parseInterface reads a network device's name. The kernel takes more, but '%'
// would make it choose a number, and the name goes into firewall rules.
func parseInterface(s string) (string, error) {
	bad := func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("_.-", r) }
	if s == "" || len(s) > 15 || s == "." || s == ".." || s[0] == '-' || strings.IndexFunc(s, bad) >= 0 {
		return "", fmt.Errorf("%s is not an interface name: want 1 to 15 of A-Z, a-z, 0-9, '_', '.' and '-', such as \"wg-gw\"", show(s))
	}
	return s, nil
}

// pathIn is a parser of file names; a relative one starts at dir.
func pathIn(dir string) func(string) (string, error) {
	return func(s string) (string, error) {
		if s == "" || strings.ContainsRune(s, 0) {
			return "", errors.New("want the name of a file or directory")
		}
		if filepath.IsAbs(s) {
			return filepath.Clean(s), nil
		}
		return filepath.Join(dir, s), nil
	}
}

// orNone is a parser of what may be left empty.
func orNone[T any](parse func(string) (T, error)) func(string) (T, error) {
	return func(s string) (none T, err error) {
		if s == "" {
			return none, nil
		}
		return parse(s)
	}
}

// choice is a parser of a few words.
type choice[T any] struct {
	word  string
	value T
}

func oneOf[T any](choices ...choice[T]) func(string) (T, error) {
	return func(s string) (T, error) {
		words := make([]string, len(choices))
		for i, c := range choices {
			if c.word == s {
				return c.value, nil
			}
			words[i] = strconv.Quote(c.word)
		}
		var zero T
		return zero, fmt.Errorf("%s is not known: want one of %s", show(s), strings.Join(words, ", "))
	}
}

var (
	parseTLSVersion = oneOf(choice[uint16]{"1.2", tls.VersionTLS12}, choice[uint16]{"1.3", tls.VersionTLS13})
	parseLevel      = oneOf(choice[slog.Level]{"debug", slog.LevelDebug}, choice[slog.Level]{"info", slog.LevelInfo},
		choice[slog.Level]{"warn", slog.LevelWarn}, choice[slog.Level]{"error", slog.LevelError})
	parseFormat = oneOf(choice[LogFormat]{"text", FormatText}, choice[LogFormat]{"json", FormatJSON})
	parseMode   = oneOf(choice[WireGuardMode]{"auto", ModeAuto}, choice[WireGuardMode]{"kernel", ModeKernel},
		choice[WireGuardMode]{"userspace", ModeUserspace}, choice[WireGuardMode]{"netstack", ModeNetstack},
		choice[WireGuardMode]{"none", ModeNone})
)
