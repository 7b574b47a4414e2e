package ratls

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/ratls/qvl"
	"sallyport/ratls/tdx"
)

// A Policy says which genuine evidence is good enough. Of the lists of what is accepted,
// one that is nil restricts nothing, and an empty one refuses all; a zero value on a list
// accepts nobody. The zero Policy accepts each machine whose platform is in a state of
// DefaultStatuses.
//
// What runs in a machine is told by MRTD and RTMR0–2, which the hardware measures.
// The rest, app id and compose hash too, is in an event log that the measured system
// writes: a policy without Measurements believes whatever system that is. Behind
// an authority that has judged the machine when it signed the certificate (a KMS),
// that is its business; without one, give Measurements. [Verdict.SystemKnown] says
// whether they have told.
//
// A Policy is not changed once a Verifier has it.
type Policy struct {
	Statuses []qvl.Status // nil: DefaultStatuses. Revoked is refused even if listed
	// Advisories are those, such as INTEL-SA-00615, to which the platform must not be open.
	Advisories []string

	Measurements  []Measurement
	OSImages      []Hash  // by the event os-image-hash: what the machine's KMS called its image
	KeyProviders  []Bytes // ids of those that may hold the machine's keys; a KMS's is its public key in DER
	Apps          []AppID
	ComposeHashes []Hash

	// MaxAge is how long after its certificate was made evidence counts. A quote
	// has no date: the authority that signed the certificate vouches for its, and of one
	// that the machine has signed itself it says nothing. Zero: for as long as
	// the certificate is valid.
	MaxAge time.Duration
}

// DefaultStatuses are the states of platforms that leave nothing to update: what
// they lack is a matter of configuration, or of the software in the machine.
func DefaultStatuses() []qvl.Status {
	return []qvl.Status{qvl.UpToDate, qvl.SWHardeningNeeded, qvl.ConfigurationNeeded, qvl.ConfigurationAndSWHardeningNeeded}
}

// A Measurement is one system that may run: its firmware (MRTD) and virtual hardware
// (RTMR0), its kernel (RTMR1), and command line and root file system (RTMR2). A nil
// register may have any value.
type Measurement struct {
	MRTD, RTMR0, RTMR1, RTMR2 *[48]byte
}

// NamesSystem reports whether m tells which system runs: it has firmware, kernel, and
// command line with root file system. Any kernel may run above a firmware that is known.
// RTMR0 may be open, for it differs with the number of processors and the memory; whoever
// leaves it open trusts the host with the virtual hardware and its ACPI tables.
func (m Measurement) NamesSystem() bool {
	return m.MRTD != nil && m.RTMR1 != nil && m.RTMR2 != nil
}

// NamesSystems reports whether each machine that p accepts runs a system that p knows:
// there are Measurements, and each names one. A nil Policy knows none.
func (p *Policy) NamesSystems() bool {
	return p != nil && len(p.Measurements) > 0 &&
		!slices.ContainsFunc(p.Measurements, func(m Measurement) bool { return !m.NamesSystem() })
}

// knows reports whether a measurement that names a system is that of td.
func (p *Policy) knows(td *tdx.Report) bool {
	return slices.ContainsFunc(p.Measurements, func(m Measurement) bool { return m.NamesSystem() && m.Matches(td) })
}

// Matches reports whether td has the registers of m.
func (m Measurement) Matches(td *tdx.Report) bool {
	is := func(want *[48]byte, have [48]byte) bool { return want == nil || *want == have }
	return is(m.MRTD, td.MRTD) && is(m.RTMR0, td.RTMR[0]) && is(m.RTMR1, td.RTMR[1]) && is(m.RTMR2, td.RTMR[2])
}

// ErrPolicy is what every refusal of genuine evidence by a Policy wraps.
var ErrPolicy = errors.New("refused by policy")

// A rule of a policy: what it looks at, and whether that is accepted.
type rule struct {
	name, value string
	refused     error // nil: accepted
}

// judge holds all of the policy's rules against what was proven. issued is when the
// certificate was made, zero where there is none.
func (p *Policy) judge(v *Verdict, issued, now time.Time) []rule {
	rules := []rule{p.status(v.TCB.Status)}
	if len(p.Advisories) > 0 {
		rules = append(rules, p.advisories(v.TCB.Advisories))
	}
	return append(rules, p.judgeMachine(v, issued, now)...)
}

// judgeMachine holds the rules that need no word of Intel's against what was measured.
func (p *Policy) judgeMachine(v *Verdict, issued, now time.Time) (rules []rule) {
	if p.Measurements != nil {
		rules = append(rules, listed("measurements", slices.ContainsFunc(p.Measurements, func(m Measurement) bool { return m.Matches(&v.TD) }),
			fmt.Sprintf("MRTD %x, RTMR0 %x, RTMR1 %x, RTMR2 %x", v.TD.MRTD, v.TD.RTMR[0], v.TD.RTMR[1], v.TD.RTMR[2])))
	}
	if p.OSImages != nil {
		rules = append(rules, listed("OS image", slices.Contains(p.OSImages, v.OSImage) && !v.OSImage.IsZero(), v.OSImage.String()))
	}
	if p.KeyProviders != nil {
		rules = append(rules, listed("key provider", slices.ContainsFunc(p.KeyProviders, func(id Bytes) bool {
			return len(id) > 0 && string(id) == string(v.KeyProvider.ID)
		}), v.KeyProvider.String()))
	}
	if p.Apps != nil {
		rules = append(rules, listed("app", slices.Contains(p.Apps, v.AppInfo.AppID) && !v.AppInfo.AppID.IsZero(), v.AppInfo.AppID.String()))
	}
	if p.ComposeHashes != nil {
		rules = append(rules, listed("compose hash", slices.Contains(p.ComposeHashes, v.AppInfo.ComposeHash) && !v.AppInfo.ComposeHash.IsZero(), v.AppInfo.ComposeHash.String()))
	}
	if p.MaxAge != 0 { // a negative one refuses all
		rules = append(rules, p.age(issued, now))
	}
	return rules
}

func (p *Policy) status(s qvl.Status) rule {
	accepted := p.Statuses
	if accepted == nil {
		accepted = DefaultStatuses()
	}
	r := rule{name: "TCB status", value: s.String()}
	if s <= 0 || s >= qvl.Revoked || !slices.Contains(accepted, s) {
		r.refused = fmt.Errorf("%w: TCB status %s", ErrPolicy, s)
	}
	return r
}

func (p *Policy) advisories(open []string) rule {
	r := rule{name: "advisories", value: strings.Join(open, ", ")}
	for _, a := range open {
		if slices.Contains(p.Advisories, a) {
			r.refused = fmt.Errorf("%w: open to %s", ErrPolicy, a)
			break
		}
	}
	return r
}

// maxSkew is how far an issuer's clock may be ahead of ours.
const maxSkew = 5 * time.Minute

func (p *Policy) age(issued, now time.Time) rule {
	r := rule{name: "age", value: "not known"}
	age := now.Sub(issued)
	switch {
	case issued.IsZero():
		r.refused = fmt.Errorf("%w: evidence without a certificate has no age", ErrPolicy)
		return r
	case age < -maxSkew:
		r.refused = fmt.Errorf("%w: certificate is of the future", ErrPolicy)
	case age > p.MaxAge:
		r.refused = fmt.Errorf("%w: evidence is older than %v", ErrPolicy, p.MaxAge)
	}
	r.value = age.Round(time.Second).String()
	return r
}

func listed(name string, ok bool, value string) rule {
	r := rule{name: name, value: value}
	if !ok {
		r.refused = fmt.Errorf("%w: %s is not on the list: %s", ErrPolicy, name, value)
	}
	return r
}
