package appraise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"reflect"
	"slices"
	"time"

	"sallyport/config"
	"sallyport/ratls"
	"sallyport/ratls/qvl"
)

// The policy by which evidence is judged: what the section [attestation] says, and
// the allow file that it names. Both may change while the gateway runs: the file is
// looked at again and again, the section is read at SIGHUP. A policy that cannot be
// read leaves the one before in force, whatever it says.

// lookAgain is how often the allow file is looked at.
const lookAgain = 2 * time.Second

// settled is how long ago the allow file was written when it is believed to be whole. One
// that is cut off allows more than is meant where a list is missing.
const settled = time.Second

// settleTime is how long a start waits for an allow file that is being written.
const settleTime = 5 * time.Second

// errUnsettled is an allow file that may not be whole.
var errUnsettled = errors.New("is being written: what is there now may not be whole; want a file that is put into its place by renaming it")

// policies is the policy in force and where it is from. What is not a channel is of
// the goroutine of follow, once that runs.
type policies struct {
	section config.Attestation
	inForce *ratls.Policy
	use     func(p *ratls.Policy, reason string) // puts a policy into force
	log     *slog.Logger

	allow   fs.FileInfo // of the allow file when it was read; nil: it is to be read
	problem string      // with the allow file, as it was told

	reloads chan config.Attestation
}

// newPolicies looks at the allow file before it is read, so that a change in between
// is seen.
func newPolicies(c config.Attestation, log *slog.Logger) *policies {
	p := &policies{section: c, log: log, reloads: make(chan config.Attestation, 1)}
	p.allow, _ = os.Stat(c.AllowFile)
	return p
}

// reload has c's policy read. It does not block; of several the last one counts. One
// caller at a time.
func (p *policies) reload(c config.Attestation) {
	for {
		select {
		case p.reloads <- c:
			return
		case <-p.reloads:
		}
	}
}

// follow reads the policy whenever it may have changed, until ctx is done.
func (p *policies) follow(ctx context.Context) {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-p.reloads:
			p.warnOfRestart(c)
			p.section, p.problem = c, ""
			p.read("configuration reloaded")
		case <-tick.C:
			if p.allowChanged() {
				p.read("allow file changed")
			}
		}
	}
}

// allowChanged reports whether the allow file is to be read again.
func (p *policies) allowChanged() bool {
	if p.section.AllowFile == "" {
		return false
	}
	now, err := os.Stat(p.section.AllowFile)
	if err != nil {
		return true // reading it says what is wrong
	}
	if p.allow != nil && sameFile(now, p.allow) {
		return false
	}
	age := time.Since(now.ModTime())
	return age < 0 || age >= settled
}

// read puts the policy into force, if it can be read and is another one.
func (p *policies) read(reason string) {
	p.allow, _ = os.Stat(p.section.AllowFile)
	policy, err := newPolicy(p.section)
	if errors.Is(err, errUnsettled) {
		p.allow = nil // to be read as soon as it is whole
		return
	}
	if err != nil {
		p.allow = nil
		if text := err.Error(); text != p.problem { // once, not every two seconds
			p.log.Error("the attestation policy cannot be used: the one before stays in force", "error", err)
			p.problem = text
		}
		return
	}
	p.problem = ""
	other := !reflect.DeepEqual(policy, p.inForce)
	p.log.Info("attestation policy read", "reason", reason, "changed", other)
	if other {
		p.inForce = policy
		p.use(policy, reason)
	}
}

// warnOfRestart says what of c is not taken over: what evidence is judged by besides a policy.
func (p *policies) warnOfRestart(c config.Attestation) {
	was := p.section
	if c.InsecureRootCA != was.InsecureRootCA || c.CollateralFile != was.CollateralFile || c.ReattestInterval != was.ReattestInterval || c.UndecidedFor != was.UndecidedFor ||
		!slices.EqualFunc(c.PCCS, was.PCCS, func(a, b *url.URL) bool { return a.String() == b.String() }) {
		p.log.Warn("[attestation] pccs, collateral_file, insecure_root_ca, reattest_interval and undecided_for have changed in the file: they take a restart")
	}
}

// newWholePolicy is newPolicy for who has no policy yet: it waits while the allow file is
// being written.
func newWholePolicy(c config.Attestation) (*ratls.Policy, error) {
	tick := time.NewTicker(settled / 10)
	defer tick.Stop()
	for began := time.Now(); ; <-tick.C {
		p, err := newPolicy(c)
		if !errors.Is(err, errUnsettled) || time.Since(began) > settleTime {
			return p, err
		}
	}
}

// newPolicy reads the allow file, if there is one.
func newPolicy(c config.Attestation) (*ratls.Policy, error) {
	p := &ratls.Policy{Advisories: c.RefusedAdvisories, MaxAge: c.MaxAge}
	for _, word := range c.TCBStatuses {
		status, err := qvl.ParseStatus(word)
		if err != nil {
			return nil, fmt.Errorf("[attestation] tcb_statuses: %w", err)
		}
		p.Statuses = append(p.Statuses, status)
	}
	if c.AllowFile == "" {
		return p, nil
	}
	allow, err := readAllow(c.AllowFile)
	if err != nil {
		return nil, fmt.Errorf("[attestation] allow_file: %w", err)
	}
	for _, b := range allow.Apps {
		p.Apps = append(p.Apps, ratls.AppID(b))
	}
	for _, b := range allow.ComposeHashes {
		p.ComposeHashes = append(p.ComposeHashes, ratls.Hash(b))
	}
	for _, b := range allow.OSImages {
		p.OSImages = append(p.OSImages, ratls.Hash(b))
	}
	for _, b := range allow.KeyProviders {
		p.KeyProviders = append(p.KeyProviders, b)
	}
	for _, m := range allow.Measurements {
		p.Measurements = append(p.Measurements, ratls.Measurement{
			MRTD: register(m.MRTD), RTMR0: register(m.RTMR0), RTMR1: register(m.RTMR1), RTMR2: register(m.RTMR2),
		})
	}
	return p, nil
}

// readAllow reads an allow file. One that lists nothing is a mistake: it would allow
// all, as a file does that somebody has just begun to write. One that may be changing is not
// read.
func readAllow(name string) (*config.Allow, error) {
	before, err := statRegular(name)
	if err != nil {
		return nil, err
	}
	allow, err := config.LoadAllow(name)
	after, statErr := statRegular(name)
	if statErr != nil {
		return nil, statErr
	}
	age := time.Since(before.ModTime())
	if age >= 0 && age < settled || !sameFile(before, after) {
		return nil, fmt.Errorf("%s: %w", name, errUnsettled)
	}
	if err == nil && reflect.DeepEqual(allow, &config.Allow{}) {
		return nil, errors.New(name + ": lists nothing, and so would allow all: list what may run, or remove allow_file")
	}
	return allow, err
}

// sameFile reports whether a file was not written or replaced between a and b.
func sameFile(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// statRegular refuses what may never end, or would be waited for, such as a FIFO.
func statRegular(name string) (fs.FileInfo, error) {
	st, err := os.Stat(name)
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s: want a regular file", name)
	}
	return st, err
}

func register(b []byte) *[48]byte {
	if b == nil {
		return nil
	}
	return (*[48]byte)(bytes.Clone(b))
}
