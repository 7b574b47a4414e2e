package wg

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"sallyport/internal/oneline"
	"sallyport/internal/regularfile"
	"sallyport/internal/vm"
)

// The endpoints file lets a gateway reach its peers right after a restart; else
// it has to wait until each peer speaks (measured: 14.5 s against 0.0 s). It is a
// list of JSON objects, one a line: {"version":1,"count":N}, then N times
// {"key":"…","endpoint":"…"}. It holds nothing that cannot be learnt again, so a
// damaged file is put aside and the start goes on without it.

const (
	endpointsVersion  = 1
	maxEndpointsBytes = 16 << 20
	maxEndpointLine   = 256
)

type endpointsHeader struct {
	Version int `json:"version"`
	Count   int `json:"count"`
}

type endpointLine struct {
	Key      string `json:"key"`
	Endpoint string `json:"endpoint"`
}

// usableEndpoint reports whether a datagram can be sent there and the address
// means the same after a restart (a zone may not).
func usableEndpoint(ep netip.AddrPort) bool {
	a := ep.Addr()
	return ep.IsValid() && ep.Port() != 0 && a.Zone() == "" && !a.Is4In6() &&
		!a.IsUnspecified() && !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// loadEndpoints reads path; "" and a missing file hold no endpoints.
func loadEndpoints(path string, log *slog.Logger) (map[vm.WGKey]netip.AddrPort, error) {
	none := make(map[vm.WGKey]netip.AddrPort)
	if path == "" {
		return none, nil
	}
	found, err := readEndpoints(path)
	var damaged *damagedError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return none, nil
	case errors.As(err, &damaged):
		aside := fmt.Sprintf("%s.damaged-%d", path, time.Now().Unix())
		if err := os.Rename(path, aside); err != nil {
			return nil, fmt.Errorf("wg: rename damaged endpoints file: %w", err)
		}
		log.Warn("endpoints file is damaged and was renamed; a peer is reachable again once it sends a packet",
			"file", path, "kept_as", aside, "error", damaged.Error())
		return none, nil
	case err != nil:
		return nil, fmt.Errorf("wg: endpoints file: %w", err)
	}
	return found, nil
}

// damagedError is a file that was read but is not what we write.
type damagedError struct{ error }

func (e *damagedError) Unwrap() error { return e.error }

func readEndpoints(path string) (map[vm.WGKey]netip.AddrPort, error) {
	data, _, err := regularfile.Read(path, maxEndpointsBytes)
	if errors.Is(err, regularfile.ErrTooLarge) {
		return nil, &damagedError{err}
	}
	if err != nil {
		return nil, err
	}
	found, err := decodeEndpoints(bytes.NewReader(data))
	if err != nil {
		return nil, &damagedError{err}
	}
	return found, nil
}

// decodeEndpoints reads the format above, all of it or nothing.
func decodeEndpoints(r io.Reader) (map[vm.WGKey]netip.AddrPort, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, maxEndpointLine), maxEndpointLine)
	var head endpointsHeader
	if !lines.Scan() {
		return nil, oneline.Join(errors.New("no header"), lines.Err())
	}
	if err := strictJSON(lines.Bytes(), &head); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if head.Version != endpointsVersion || head.Count < 0 || head.Count > MaxPeers {
		return nil, fmt.Errorf("version %d with %d endpoints", head.Version, head.Count)
	}
	found := make(map[vm.WGKey]netip.AddrPort)
	for lines.Scan() {
		key, ep, err := decodeEndpoint(lines.Bytes())
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", len(found)+2, err)
		}
		if _, twice := found[key]; twice || len(found) == head.Count {
			return nil, fmt.Errorf("line %d: one endpoint too many", len(found)+2)
		}
		found[key] = ep
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(found) != head.Count {
		return nil, fmt.Errorf("%d of %d endpoints", len(found), head.Count)
	}
	return found, nil
}

func decodeEndpoint(line []byte) (vm.WGKey, netip.AddrPort, error) {
	var l endpointLine
	if err := strictJSON(line, &l); err != nil {
		return vm.WGKey{}, netip.AddrPort{}, err
	}
	key, err := vm.ParseWGKey(l.Key)
	if err != nil {
		return vm.WGKey{}, netip.AddrPort{}, err
	}
	ep, err := netip.ParseAddrPort(l.Endpoint)
	if err != nil {
		return vm.WGKey{}, netip.AddrPort{}, err
	}
	if !usableEndpoint(ep) {
		return vm.WGKey{}, netip.AddrPort{}, fmt.Errorf("no packet can be sent to endpoint %s", ep)
	}
	return key, ep, nil
}

// strictJSON decodes exactly one object without unknown fields.
func strictJSON(line []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}

func encodeEndpoints(endpoints map[vm.WGKey]netip.AddrPort) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	if err := enc.Encode(endpointsHeader{endpointsVersion, len(endpoints)}); err != nil {
		return nil, err
	}
	for key, ep := range endpoints {
		if err := enc.Encode(endpointLine{key.String(), ep.String()}); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}
