// Package record holds what is stored of an instance and how: the keys in the store (keys.go),
// the record (record.go), port policies (policy.go), and the attested app info (facts.go).
// Records and policies are JSON with a version, for operators to read. The package is pure; its
// decoders are bounded, and accept only what its encoders write.
package record

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"sallyport/internal/oneline"
	"sallyport/internal/vm"
	"sallyport/registry/store"
)

const (
	// MaxNode is the longest name of a node in bytes.
	MaxNode = 63

	// MaxReason is the longest text of a refusal in bytes.
	MaxReason = 300

	maxMark = 28 // bytes that may stand in front of the reason in Revoked
	version = 1
)

// Digest is the SHA-256 of evidence; zero: there is none.
type Digest [sha256.Size]byte

// DigestOf returns the digest of evidence.
func DigestOf(evidence []byte) Digest {
	if len(evidence) == 0 {
		return Digest{}
	}
	return sha256.Sum256(evidence)
}

// Fingerprint is the SHA-256 of a root's certificate.
type Fingerprint [sha256.Size]byte

// Record is what is stored of an instance. It is comparable.
type Record struct {
	App     vm.AppID
	Key     vm.WGKey
	Addr    netip.Addr
	Compose vm.ComposeHash
	Policy  vm.PortPolicy // as the guest reports it, for this Compose; unknown: it reports none
	Stated  vm.PortPolicy // of the compose file, which has the hash Compose; unknown: not fetched yet
	Node    string        // the node that it registered with last

	Evidence Digest // of what is stored as evidence
	Refused  string // why that is not accepted; "": it is

	Undecided int64 // Unix time since when there is no verdict; 0: there is one

	Facts   string      // the rest of its app info, as EncodeFacts has it
	Root    Fingerprint // where the chain of its certificate ended
	Until   int64       // when the first certificate of that ends, Unix time; 0: not known
	Revoked string      // why its authority was revoked; "": it was not
}

// Ports returns the policy in force if no operator has set one. Where a compose hash is attested,
// the compose file says which ports are open, and the guest's report closes some of them.
func (r Record) Ports() vm.PortPolicy {
	switch {
	case r.Compose.IsZero():
		return r.Policy
	case r.Policy.State() == vm.PolicyUnknown:
		return r.Stated
	default:
		return r.Stated.Narrow(r.Policy)
	}
}

// recordJSON is a Record in JSON. An absent policy is unknown.
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

// Encode returns the value of a record.
func Encode(r Record) ([]byte, error) {
	j := recordJSON{
		Version: version,
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
	if r.Evidence != (Digest{}) {
		j.Evidence = hex.EncodeToString(r.Evidence[:])
	}
	return encodeJSON(j)
}

// Decode reads what Encode wrote, and nothing else.
func Decode(value []byte) (Record, error) {
	var j recordJSON
	if err := strictJSON(value, &j); err != nil {
		return Record{}, err
	}
	if j.Version != version {
		return Record{}, fmt.Errorf("record version %d, this gateway supports %d", j.Version, version)
	}
	r := Record{Node: j.Node, Refused: j.Refused, Facts: string(j.Facts), Until: j.Until, Revoked: j.Revoked, Undecided: j.Undecided}
	var errs [9]error
	r.App, errs[0] = vm.ParseAppID(j.App)
	r.Key, errs[1] = vm.ParseWGKey(j.Key)
	r.Addr, errs[2] = ParseAddr(j.Addr)
	r.Compose, errs[3] = vm.ParseComposeHash(j.Compose)
	r.Policy, errs[4] = j.Policy.policy()
	r.Evidence, errs[5] = parseDigest("evidence", j.Evidence)
	root, err := parseDigest("root", j.Root)
	r.Root, errs[6] = Fingerprint(root), err
	r.Stated, errs[8] = j.Stated.policy()
	if r.Facts != "" {
		_, errs[7] = DecodeFacts(r.Facts)
	}
	if n := max(len(j.Refused), len(j.Revoked)-maxMark); n > MaxReason {
		return Record{}, fmt.Errorf("reason of %d bytes, the limit is %d", n, MaxReason)
	}
	if j.Undecided < 0 {
		return Record{}, fmt.Errorf("undecided since %d: want Unix time", j.Undecided)
	}
	if len(j.Node) > MaxNode {
		return Record{}, fmt.Errorf("node name of %d bytes, the limit is %d", len(j.Node), MaxNode)
	}
	if err := oneline.Join(errs[:]...); err != nil {
		return Record{}, err
	}
	return r, nil
}

func parseDigest(what, s string) (d Digest, err error) {
	if s == "" {
		return Digest{}, nil
	}
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(d) || Digest(b) == (Digest{}) {
		return Digest{}, fmt.Errorf("%s %.70q: want a SHA-256 in hexadecimal", what, s)
	}
	return Digest(b), nil
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
