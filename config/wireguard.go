package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	"sallyport/internal/oneline"
	"sallyport/internal/vm"
)

// maxInstances bounds the static CVMs: as many as a /16 has addresses.
const maxInstances = 65536

func readWireGuard(t table, s Store, path func(string) (string, error)) WireGuard {
	w := WireGuard{
		Mode:           text(t, "mode", "auto", parseMode),
		Interface:      text(t, "interface", "wg-gw", parseInterface),
		PrivateKeyFile: optional(t, "private_key_file", path),
		ListenPort:     uint16(t.count("listen_port", 51820, 0, 65535)), //nolint:gosec // bounded by count
		Endpoint:       optional(t, "endpoint", parseEndpoint),
		Address:        text(t, "address", "10.8.0.1/16", parseOwnAddress),
		Pool:           optional(t, "pool", parseNetwork4),
		Reserved:       list(t, "reserved", nil, parseNetwork4),
		MTU:            t.count("mtu", 1420, 1280, 9000),
	}
	if !t.has("private_key_file") {
		w.PrivateKeyFile = filepath.Join(s.Path, "wireguard.key")
	}
	if !t.has("pool") {
		w.Pool = w.Address.Masked()
	}
	if !w.Address.IsValid() {
		return w
	}
	if w.Pool.IsValid() && !inside(w.Address, w.Pool) {
		t.fail("pool", "%s is not inside the tunnel network %s of address", w.Pool, w.Address.Masked())
	}
	for i, p := range w.Reserved {
		if p.IsValid() && !inside(w.Address, p) {
			t.failItem("reserved", i, "%s is not inside the tunnel network %s of address", p, w.Address.Masked())
		}
	}
	return w
}

func inside(outer, inner netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}

func readInstances(t table, w WireGuard) []Instance {
	tables := t.subs("instance", maxInstances)
	seen := seenInstances{
		apps:      make(map[vm.AppID]position),
		ids:       make(map[vm.InstanceID]position),
		keys:      make(map[vm.WGKey]position),
		addresses: make(map[netip.Addr]position),
	}
	list := make([]Instance, 0, len(tables))
	for _, t := range tables {
		in := readInstance(t, w)
		seen.add(t, &in)
		list = append(list, in)
	}
	for i, t := range tables {
		if at, ok := seen.apps[vm.AppID(list[i].InstanceID)]; ok && list[i].InstanceID != "" {
			t.fail("instance_id", "%q is the app_id at line %d: its name would lead to that app", list[i].InstanceID, at.line)
		}
	}
	return list
}

// readInstance leaves an InstanceID that is to be derived empty.
func readInstance(t table, w WireGuard) Instance {
	in := Instance{
		AppID:      required(t, "app_id", "the id of the app that the CVM runs", parseAppID),
		InstanceID: optional(t, "instance_id", parseInstanceID),
		PublicKey:  optional(t, "public_key", vm.ParseWGKey),
		Address:    required(t, "address", "its address in the tunnel network", parseHost),
		Ports:      readPorts(t),
	}
	if w.Mode == "" || w.Mode == ModeNone {
		return in
	}
	if !t.has("public_key") {
		t.fail("public_key", `is missing: want the CVM's WireGuard key (not needed with wireguard.mode = "none")`)
	}
	switch own := w.Address; {
	case !own.IsValid() || !in.Address.IsValid():
	case in.Address == own.Addr():
		t.fail("address", "%s is the gateway's own, wireguard.address", in.Address)
	case !usable(own, in.Address):
		t.fail("address", "%s cannot be a CVM's in the tunnel network %s of wireguard.address", in.Address, own.Masked())
	}
	return in
}

// parseAppID and parseInstanceID leave the gateway's own names to it.
func parseAppID(s string) (vm.AppID, error) {
	id, err := vm.ParseAppID(s)
	return id, oneline.Join(err, vm.CheckReserved(id))
}

func parseInstanceID(s string) (vm.InstanceID, error) {
	id, err := vm.ParseInstanceID(s)
	return id, oneline.Join(err, vm.CheckReserved(id))
}

// seenInstances are the places where ids, keys and addresses were first used.
type seenInstances struct {
	apps      map[vm.AppID]position
	ids       map[vm.InstanceID]position
	keys      map[vm.WGKey]position
	addresses map[netip.Addr]position
}

// add derives in's id if it has none, and reports what an earlier instance has too.
func (s *seenInstances) add(t table, in *Instance) {
	if in.AppID != "" {
		s.apps[in.AppID] = t.place("app_id")
	}
	twice := !in.Address.IsValid() || once(t, s.addresses, "address", in.Address)
	if !in.PublicKey.IsZero() {
		once(t, s.keys, "public_key", in.PublicKey)
	}
	if in.AppID != "" && !twice && !t.has("instance_id") {
		in.InstanceID = deriveInstanceID(in.AppID, in.Address)
	}
	if in.InstanceID != "" {
		once(t, s.ids, "instance_id", in.InstanceID)
	}
}

// once reports v as a value of key that was there before; it returns whether it was.
func once[K comparable](t table, seen map[K]position, key string, v K) bool {
	at, ok := seen[v]
	if ok {
		t.fail(key, "%v is already the %s of the instance at line %d", v, key, at.line)
	} else {
		seen[v] = t.place(key)
	}
	return ok
}

// readPorts reads a list of ports; nil: all.
func readPorts(t table) []vm.PortRule {
	rules := list(t, "ports", nil, parsePortRule)
	switch _, err := vm.NewPortPolicy(true, rules); {
	case len(rules) == 1 && rules[0] == vm.PortRule{}:
		return nil
	case t.has("ports") && len(rules) == 0:
		t.fail("ports", `is empty: want at least one port, or ["*"] for all`)
	case err != nil:
		t.fail("ports", `%s: want each port once, or ["*"] for all`, err)
	}
	return rules
}

// parsePortRule reads a port, or port,proxy. "*" is the zero rule.
func parsePortRule(s string) (vm.PortRule, error) {
	if s == "*" {
		return vm.PortRule{}, nil
	}
	digits, flag, flagged := strings.Cut(s, ",")
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n == 0 || flagged && flag != "proxy" {
		return vm.PortRule{}, fmt.Errorf("%s is not a port: want 1 to 65535, such as \"443\", or \"80,proxy\" for a PROXY header", show(s))
	}
	return vm.PortRule{Port: uint16(n), Proxy: flagged}, nil
}

// deriveInstanceID is stable over restarts and like dstack's own: 40 hex digits.
func deriveInstanceID(app vm.AppID, address netip.Addr) vm.InstanceID {
	sum := sha256.Sum256([]byte(string(app) + "/" + address.String()))
	return vm.InstanceID(hex.EncodeToString(sum[:])[:40])
}
