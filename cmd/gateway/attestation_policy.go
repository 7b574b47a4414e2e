package main

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
	if was := p.allow; was != nil && os.SameFile(now, was) && now.ModTime().Equal(was.ModTime()) && now.Size() == was.Size() {
		return false
	}
	age := time.Since(now.ModTime())
	return age < 0 || age >= settled
}

// read puts the policy into force, if it can be read and is another one.
func (p *policies) read(reason string) {
	p.allow, _ = os.Stat(p.section.AllowFile)
	policy, err := newPolicy(p.section)
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
	if c.InsecureRootCA != was.InsecureRootCA || c.CollateralFile != was.CollateralFile || c.ReattestInterval != was.ReattestInterval ||
		!slices.EqualFunc(c.PCCS, was.PCCS, func(a, b *url.URL) bool { return a.String() == b.String() }) {
		p.log.Warn("[attestation] pccs, collateral_file, insecure_root_ca and reattest_interval have changed in the file: they take a restart")
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
// all, as a file does that somebody has just begun to write.
func readAllow(name string) (*config.Allow, error) {
	if err := wantRegular(name); err != nil {
		return nil, err
	}
	allow, err := config.LoadAllow(name)
	if err == nil && reflect.DeepEqual(allow, &config.Allow{}) {
		return nil, errors.New(name + ": lists nothing, and so would allow all: list what may run, or remove allow_file")
	}
	return allow, err
}

// wantRegular refuses what may never end, or would be waited for, such as a FIFO.
func wantRegular(name string) error {
	st, err := os.Stat(name)
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s: want a regular file", name)
	}
	return err
}

func register(b []byte) *[48]byte {
	if b == nil {
		return nil
	}
	return (*[48]byte)(bytes.Clone(b))
}
