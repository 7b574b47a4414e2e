package registry

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"sallyport/internal/vm"
	"sallyport/registry/store"
)

// The keys in the store. That a WireGuard key or an address has one holder follows
// from there being one pair for each:
//
//	registry/instance/<id>   a record
//	registry/key/<base64>    the id of the instance with this WireGuard key
//	registry/addr/<IPv4>     the id of the instance there, or "resting <unix time>"
//	registry/override/<id>   an operator's port policy; outlives the instance
//	registry/app/<id>        marks an app that instances were removed of: no instance takes its name
//	evidence/<id>            what the instance registered with, as it came: read only to be judged
//
// Records and policies are JSON with a version, so that `etcdctl get` can be read.
const (
	storePrefix    = "registry/"
	instancePrefix = storePrefix + "instance/"
	keyPrefix      = storePrefix + "key/"
	addrPrefix     = storePrefix + "addr/"
	overridePrefix = storePrefix + "override/"
	appPrefix      = storePrefix + "app/"
	evidencePrefix = "evidence/"
	restingPrefix  = "resting "

	recordVersion = 1
)

func instanceKey(id vm.InstanceID) string { return instancePrefix + string(id) }
func overrideKey(id vm.InstanceID) string { return overridePrefix + string(id) }
func appKey(id vm.AppID) string           { return appPrefix + string(id) }
func evidenceKey(id vm.InstanceID) string { return evidencePrefix + string(id) }
func wgKeyKey(k vm.WGKey) string          { return keyPrefix + k.String() }
func addrKey(a netip.Addr) string         { return addrPrefix + a.String() }

// record is what is stored of an instance. It is comparable.
type record struct {
	App     vm.AppID
	Key     vm.WGKey
	Addr    netip.Addr
	Compose vm.ComposeHash
	Policy  vm.PortPolicy // as the guest reports it, for this Compose; unknown: it reports none
	Stated  vm.PortPolicy // of the compose file, which has the hash Compose; unknown: not fetched yet
	Node    string        // the gateway that registered it last

	Evidence digest // of what is stored as evidence
	Refused  string // why that is not accepted; "": it is

	Undecided int64 // Unix time since when nobody could judge it; 0: its last judgement was a verdict

	Facts   string      // the rest of its app info, as encodeFacts has it
	Root    Fingerprint // where the chain of its certificate ended
	Until   int64       // when the first certificate of that ends, Unix time; 0: not known
	Revoked string      // why its authority was taken back; "": it holds
}

// ports is the policy in force if no operator has set one. Where a compose hash is attested, the
// compose file says which ports are open, and the guest's report takes some of them away.
func (r record) ports() vm.PortPolicy {
	switch {
	case r.Compose.IsZero():
		return r.Policy
	case r.Policy.State() == vm.PolicyUnknown:
		return r.Stated
	default:
		return r.Stated.Narrow(r.Policy)
	}
}

type recordJSON struct {
	Version int         `json:"v"`
	App     string      `json:"app"`
	Key     string      `json:"key"`
	Addr    string      `json:"addr"`
	Compose string      `json:"compose"`
	Node    string      `json:"node,omitempty"`
	Policy  *policyJSON `json:"policy,omitempty"` // absent: unknown
	Stated  *policyJSON `json:"stated,omitempty"` // the same

	Evidence string `json:"evidence,omitempty"` // SHA-256
	Refused  string `json:"refused,omitempty"`

	Undecided int64 `json:"undecided,omitempty"` // Unix time

	Facts   json.RawMessage `json:"facts,omitempty"`
	Root    string          `json:"root,omitempty"` // SHA-256
	Until   int64           `json:"until,omitempty"`
	Revoked string          `json:"revoked,omitempty"`
}

// policyJSON lists each port once: with PROXY header or without.
type policyJSON struct {
	Version    int      `json:"v"`
	Restricted bool     `json:"restricted"`
	Ports      []uint16 `json:"ports,omitempty"`
	ProxyPorts []uint16 `json:"proxy_ports,omitempty"`
}

func encodeRecord(r record) ([]byte, error) {
	j := recordJSON{
		Version: recordVersion,
		App:     string(r.App),
		Key:     r.Key.String(),
		Addr:    r.Addr.String(),
		Compose: r.Compose.String(),
		Node:    r.Node,
		Policy:  newPolicyJSON(r.Policy),
		Stated:  newPolicyJSON(r.Stated),
		Refused: r.Refused,

		Undecided: r.Undecided,
		Facts:     json.RawMessage(r.Facts),
		Until:     r.Until,
		Revoked:   r.Revoked,
	}
	if r.Root != (Fingerprint{}) {
		j.Root = hex.EncodeToString(r.Root[:])
	}
	if r.Evidence != (digest{}) {
		j.Evidence = hex.EncodeToString(r.Evidence[:])
	}
	return encodeJSON(j)
}

// decodeRecord reads what encodeRecord wrote, and nothing else.
func decodeRecord(value []byte) (record, error) {
	var j recordJSON
	if err := strictJSON(value, &j); err != nil {
		return record{}, err
	}
	if j.Version != recordVersion {
		return record{}, fmt.Errorf("version %d, this gateway knows %d", j.Version, recordVersion)
	}
	r := record{Node: j.Node, Refused: j.Refused, Facts: string(j.Facts), Until: j.Until, Revoked: j.Revoked, Undecided: j.Undecided}
	var errs [9]error
	r.App, errs[0] = vm.ParseAppID(j.App)
	r.Key, errs[1] = vm.ParseWGKey(j.Key)
	r.Addr, errs[2] = parseAddr(j.Addr)
	r.Compose, errs[3] = vm.ParseComposeHash(j.Compose)
	r.Policy, errs[4] = j.Policy.policy()
	r.Evidence, errs[5] = parseDigest("evidence", j.Evidence)
	root, err := parseDigest("root", j.Root)
	r.Root, errs[6] = Fingerprint(root), err
	r.Stated, errs[8] = j.Stated.policy()
	if r.Facts != "" {
		_, errs[7] = decodeFacts(r.Facts)
	}
	if n := max(len(j.Refused), len(j.Revoked)-len(textDenied)-len(textEnded)); n > maxRefusal {
		return record{}, fmt.Errorf("reason of %d bytes, the limit is %d", n, maxRefusal)
	}
	if j.Undecided < 0 {
		return record{}, fmt.Errorf("undecided since %d: want Unix time", j.Undecided)
	}
	if len(j.Node) > MaxNode {
		return record{}, fmt.Errorf("node name of %d bytes, the limit is %d", len(j.Node), MaxNode)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return record{}, err
	}
	return r, nil
}

func encodePolicy(p vm.PortPolicy) ([]byte, error) { return encodeJSON(newPolicyJSON(p)) }

func decodePolicy(value []byte) (vm.PortPolicy, error) {
	var j *policyJSON
	if err := strictJSON(value, &j); err != nil {
		return vm.PortPolicy{}, err
	}
	return j.policy()
}

func newPolicyJSON(p vm.PortPolicy) *policyJSON {
	if p.State() == vm.PolicyUnknown {
		return nil
	}
	j := &policyJSON{Version: recordVersion, Restricted: p.State() == vm.PolicyRestricted}
	for _, r := range p.Rules() {
		if r.Proxy {
			j.ProxyPorts = append(j.ProxyPorts, r.Port)
		} else {
			j.Ports = append(j.Ports, r.Port)
		}
	}
	return j
}

// policy is the unknown policy for nil: what is not known allows nothing.
func (j *policyJSON) policy() (vm.PortPolicy, error) {
	if j == nil {
		return vm.PortPolicy{}, nil
	}
	if j.Version != recordVersion {
		return vm.PortPolicy{}, fmt.Errorf("policy version %d, this gateway knows %d", j.Version, recordVersion)
	}
	rules := make([]vm.PortRule, 0, len(j.Ports)+len(j.ProxyPorts))
	for _, p := range j.Ports {
		rules = append(rules, vm.PortRule{Port: p})
	}
	for _, p := range j.ProxyPorts {
		rules = append(rules, vm.PortRule{Port: p, Proxy: true})
	}
	return vm.NewPortPolicy(j.Restricted, rules)
}

// encodeResting marks an address that nobody holds, but nobody may have before until.
func encodeResting(until time.Time) []byte {
	return fmt.Appendf(nil, "%s%d", restingPrefix, until.Unix())
}

// decodeHolder reads who holds an address, or until when it rests.
func decodeHolder(value []byte) (id vm.InstanceID, until time.Time, err error) {
	if text, ok := strings.CutPrefix(string(value), restingPrefix); ok {
		var unix int64
		if n, err := fmt.Sscanf(text, "%d", &unix); n != 1 || err != nil {
			return "", time.Time{}, fmt.Errorf("resting time %.20q: want seconds", text)
		}
		return "", time.Unix(unix, 0), nil
	}
	id, err = vm.ParseInstanceID(string(value))
	return id, time.Time{}, err
}

func parseDigest(what, s string) (d digest, err error) {
	if s == "" {
		return digest{}, nil
	}
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(d) || digest(b) == (digest{}) {
		return digest{}, fmt.Errorf("%s %.70q: want a SHA-256 in hexadecimal", what, s)
	}
	return digest(b), nil
}

func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return netip.Addr{}, fmt.Errorf("address %.50q: want IPv4", s)
	}
	return a, nil
}

func encodeJSON(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err == nil && len(b) > store.MaxValue {
		err = fmt.Errorf("%d bytes to be stored, the limit is %d", len(b), store.MaxValue)
	}
	return b, err
}

// strictJSON decodes exactly one value without unknown fields.
func strictJSON(value []byte, into any) error {
	if len(value) > store.MaxValue {
		return fmt.Errorf("%d bytes, the limit is %d", len(value), store.MaxValue)
	}
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}
