package record

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"sallyport/internal/vm"
)

// The keys in the store. A WireGuard key or an address has one holder, because the store has one
// pair for it:
//
//	registry/instance/<id>   a record
//	registry/key/<base64>    the id of the instance with this WireGuard key
//	registry/addr/<IPv4>     the id of the instance there, or "resting <unix time>"
//	registry/override/<id>   an operator's port policy; outlives the instance
//	registry/app/<id>        marks an app of which instances were removed; no instance takes its name
//	evidence/<id>            the instance's evidence, as it came; read only to be appraised
//
// Records and policies are JSON with a version, so that `etcdctl get` can be read.
const (
	Prefix         = "registry/" // of all but the evidence
	InstancePrefix = Prefix + "instance/"
	PeerPrefix     = Prefix + "key/"
	AddrPrefix     = Prefix + "addr/"
	OverridePrefix = Prefix + "override/"
	AppPrefix      = Prefix + "app/"
	EvidencePrefix = "evidence/"
	restingMark    = "resting "
)

// InstanceKey, OverrideKey, AppKey, EvidenceKey, PeerKey and AddrKey return the key of each kind.
func InstanceKey(id vm.InstanceID) string { return InstancePrefix + string(id) }
func OverrideKey(id vm.InstanceID) string { return OverridePrefix + string(id) }
func AppKey(id vm.AppID) string           { return AppPrefix + string(id) }
func EvidenceKey(id vm.InstanceID) string { return EvidencePrefix + string(id) }
func PeerKey(k vm.WGKey) string           { return PeerPrefix + k.String() }
func AddrKey(a netip.Addr) string         { return AddrPrefix + a.String() }

// EncodeResting returns the value of an address that no instance holds or gets before until.
func EncodeResting(until time.Time) []byte {
	return fmt.Appendf(nil, "%s%d", restingMark, until.Unix())
}

// DecodeHolder returns the instance that holds an address, or until when the address rests.
func DecodeHolder(value []byte) (id vm.InstanceID, until time.Time, err error) {
	if text, ok := strings.CutPrefix(string(value), restingMark); ok {
		var unix int64
		if n, err := fmt.Sscanf(text, "%d", &unix); n != 1 || err != nil {
			return "", time.Time{}, fmt.Errorf("resting time %.20q: want seconds", text)
		}
		return "", time.Unix(unix, 0), nil
	}
	id, err = vm.ParseInstanceID(string(value))
	return id, time.Time{}, err
}

// ParseAddr parses the address of an instance.
func ParseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return netip.Addr{}, fmt.Errorf("address %.50q: want IPv4", s)
	}
	return a, nil
}
