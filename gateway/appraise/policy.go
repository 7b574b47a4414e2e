package appraise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"slices"
	"time"

	"sallyport/config"
	"sallyport/internal/follow"
	"sallyport/ratls"
	"sallyport/ratls/qvl"
)

// The policy by which evidence is appraised: what the section [attestation] says, and
// the allow file that it names. Both may change while the gateway runs: the file is
// read again and again (package follow), the section at SIGHUP. The file must have
// settled: one that is cut off allows more than is meant where a list is missing. A
// policy that cannot be read leaves the previous one in force.

// lookAgain is how often the allow file is read.
const lookAgain = 2 * time.Second

// policies is the policy in force and where it is from. What is not a channel is of
// the goroutine of follow, once that runs.
type policies struct {
	section config.Attestation
	inForce *ratls.Policy
	use     func(p *ratls.Policy, reason string) // puts a policy into force
	log     *slog.Logger

	seen    follow.Sum     // of the allow file that was read last; zero: read it in any case
	problem follow.Problem // with the policy, as it was logged

	reloads chan config.Attestation
}

func newPolicies(c config.Attestation, log *slog.Logger) *policies {
	return &policies{section: c, log: log, reloads: make(chan config.Attestation, 1)}
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
			p.section, p.seen, p.problem = c, follow.Sum{}, follow.Problem{}
			p.read("configuration reloaded")
		case <-tick.C:
			if p.section.AllowFile != "" {
				p.read("allow file changed")
			}
		}
	}
}

// read puts the policy into force, if the allow file has changed and can be used, and the
// policy is another one.
func (p *policies) read(reason string) {
	allow, err := readAllow(p.section, follow.Read)
	if err == nil && p.seen != (follow.Sum{}) && allow.Sum == p.seen {
		return
	}
	p.seen = follow.Sum{}
	if err == nil && !allow.Settled {
		return // it is read again soon
	}
	var policy *ratls.Policy
	if err == nil {
		policy, err = newPolicy(p.section, allow)
	}
	if p.problem.IsNew(err) {
		p.log.Error("cannot use the attestation policy; the previous one stays in force", "error", err)
	}
	if err != nil {
		return
	}
	p.seen = allow.Sum
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
		p.log.Warn("[attestation] pccs, collateral_file, insecure_root_ca, reattest_interval or undecided_for has changed, which takes effect after a restart")
	}
}

// firstPolicy reads the policy of a section where there is no previous one: it waits
// while the allow file is being written. The Sum is that of the allow file.
func firstPolicy(c config.Attestation) (*ratls.Policy, follow.Sum, error) {
	allow, err := readAllow(c, follow.ReadSettled)
	if err != nil {
		return nil, follow.Sum{}, err
	}
	p, err := newPolicy(c, allow)
	return p, allow.Sum, err
}

// readAllow reads the allow file, if the section names one.
func readAllow(c config.Attestation, read func(limit int64, names ...string) (follow.Reading, error)) (follow.Reading, error) {
	if c.AllowFile == "" {
		return follow.Reading{Settled: true}, nil
	}
	r, err := read(config.MaxSize, c.AllowFile)
	if err != nil {
		return r, fmt.Errorf("[attestation] allow_file: %w", err)
	}
	return r, nil
}

// newPolicy makes the policy of a section and its allow file.
func newPolicy(c config.Attestation, read follow.Reading) (*ratls.Policy, error) {
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
	allow, err := parseAllow(c.AllowFile, read.Files[0].Data)
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

// parseAllow refuses a file that lists nothing, which is a mistake: it would allow all.
func parseAllow(name string, data []byte) (*config.Allow, error) {
	allow, err := config.ParseAllow(name, data)
	if err == nil && reflect.DeepEqual(allow, &config.Allow{}) {
		return nil, errors.New(name + ": lists nothing and would allow everything: list what may run, or remove allow_file")
	}
	return allow, err
}

func register(b []byte) *[48]byte {
	if b == nil {
		return nil
	}
	return (*[48]byte)(bytes.Clone(b))
}
