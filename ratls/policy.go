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

// A Policy decides which genuine evidence to accept. Its lists name accepted values: a nil
// list accepts every value, an empty list none, and a zero value in a list matches nothing.
// The zero Policy accepts every CVM whose platform has one of DefaultStatuses.
//
// The hardware measures the system of a CVM in MRTD and RTMR0 to RTMR2. Everything else,
// including app id and compose hash, is in an event log that the measured system writes: a
// policy without Measurements believes any system. That is enough if an authority appraised
// the CVM when it signed the certificate (a KMS). Without such an authority, set
// Measurements. [Verdict.SystemKnown] reports whether one of them named the system.
//
// Do not change a Policy after a Verifier has it.
type Policy struct {
	Statuses []qvl.Status // nil: DefaultStatuses. Revoked is refused even if listed
	// Advisories are Intel's advisories, such as INTEL-SA-00615, that must not apply to
	// the platform.
	Advisories []string

	Measurements  []Measurement
	OSImages      []Hash  // by the event os-image-hash: the image's name by the CVM's KMS
	KeyProviders  []Bytes // ids of the accepted sources of the CVM's keys; that of a KMS is its public key in DER
	Apps          []AppID
	ComposeHashes []Hash

	// MaxAge is the longest time since the certificate was made (its NotBefore). A quote
	// has no date, so the date is only as good as the signature: the authority vouches
	// for it, and a self-signed certificate proves no date. Zero means that evidence is
	// accepted while the certificate is valid.
	MaxAge time.Duration
}

// DefaultStatuses returns the statuses of platforms without a pending update: what they
// lack concerns the configuration, or the software in the CVM.
func DefaultStatuses() []qvl.Status {
	return []qvl.Status{qvl.UpToDate, qvl.SWHardeningNeeded, qvl.ConfigurationNeeded, qvl.ConfigurationAndSWHardeningNeeded}
}

// A Measurement is one accepted system: its firmware (MRTD) and virtual hardware (RTMR0),
// its kernel (RTMR1), and its command line and root file system (RTMR2), each a SHA-384
// register of the quote. A nil register matches any value.
type Measurement struct {
	MRTD, RTMR0, RTMR1, RTMR2 *[48]byte
}

// NamesSystem reports whether m determines the system: it has firmware, kernel, and
// command line with root file system. Firmware alone does not: it starts any kernel. RTMR0
// may be nil, because it depends on the number of processors and the memory; then the host
// is trusted with the virtual hardware and its ACPI tables.
func (m Measurement) NamesSystem() bool {
	return m.MRTD != nil && m.RTMR1 != nil && m.RTMR2 != nil
}

// NamesSystems reports whether every CVM that p accepts runs a system that p names: p has
// Measurements, and each of them names a system. It is false for a nil Policy.
func (p *Policy) NamesSystems() bool {
	return p != nil && len(p.Measurements) > 0 &&
		!slices.ContainsFunc(p.Measurements, func(m Measurement) bool { return !m.NamesSystem() })
}

// knows reports whether td matches a measurement that names a system.
func (p *Policy) knows(td *tdx.Report) bool {
	return slices.ContainsFunc(p.Measurements, func(m Measurement) bool { return m.NamesSystem() && m.Matches(td) })
}

// Matches reports whether td has the registers of m.
func (m Measurement) Matches(td *tdx.Report) bool {
	is := func(want *[48]byte, have [48]byte) bool { return want == nil || *want == have }
	return is(m.MRTD, td.MRTD) && is(m.RTMR0, td.RTMR[0]) && is(m.RTMR1, td.RTMR[1]) && is(m.RTMR2, td.RTMR[2])
}

// ErrPolicy is wrapped by every error that refuses genuine evidence because of a Policy.
var ErrPolicy = errors.New("refused by policy")

// A rule is one rule of a policy, the value that it looked at, and the outcome.
type rule struct {
	name, value string
	refused     error // nil: accepted
}

// judge applies all rules of the policy to what was proven. issued is the time when the
// certificate was made, zero without a certificate.
func (p *Policy) judge(v *Verdict, issued, now time.Time) []rule {
	rules := []rule{p.status(v.TCB.Status)}
	if len(p.Advisories) > 0 {
		rules = append(rules, p.advisories(v.TCB.Advisories))
	}
	return append(rules, p.judgeMachine(v, issued, now)...)
}

// judgeMachine applies the rules that need no collateral to what was measured.
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

// maxSkew is how far the clock of an issuer may be ahead.
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
