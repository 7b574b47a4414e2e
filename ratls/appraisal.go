package ratls

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/ratls/attestation"
	"sallyport/ratls/pccs"
	"sallyport/ratls/qvl"
	"sallyport/ratls/tdx"
)

// An appraisal is one piece of evidence on its way to a verdict. What costs
// little comes first: strangers send evidence, and the collateral of a platform
// is fetched only after Intel's signature says that there is such a platform.
type appraisal struct {
	*Verifier
	evidence Evidence
	rules    *Policy
	at       time.Time
	hasty    bool // ends with the first broken rule

	attestation *attestation.Attestation // nil: a quote alone
	quote       *tdx.Quote
	platform    pccs.Platform
	collateral  *qvl.Prepared
	verdict     Verdict

	steps []Step
	err   error // of the first step that has one
}

func (a *appraisal) run(ctx context.Context) (*Verdict, error) {
	for _, step := range []func(context.Context) (goOn bool){
		a.open,     // attestation and quote, as far as they can be read
		a.binding,  // the quote is for this key
		a.eventLog, // the log is the one that was measured
		a.chain,    // the quote is of a platform by Intel
		a.hardware, // and genuine, by all of Intel's rules
		a.describe, // what runs there
		a.judge,    // is it good enough
	} {
		if !step(ctx) || a.err != nil && a.hasty {
			break
		}
	}
	if a.err != nil {
		return nil, a.err
	}
	v := a.verdict // a copy: a verdict that is kept would keep the evidence too
	return &v, nil
}

// check notes a step. It reports whether err is nil.
func (a *appraisal) check(name, value string, err error) bool {
	a.steps = append(a.steps, Step{Name: name, Value: value, Err: err})
	if err != nil && a.err == nil {
		a.err = fmt.Errorf("%s: %w", name, err)
	}
	return err == nil
}

// open reads the evidence.
func (a *appraisal) open(context.Context) bool {
	e, raw := a.evidence, a.evidence.Quote
	if len(e.Attestation) > 0 {
		parsed, err := attestation.Parse(e.Attestation)
		if err != nil {
			return a.check("attestation", "", err)
		}
		a.check("attestation", fmt.Sprintf("version %d, %d events", parsed.Version, len(parsed.RuntimeEvents)), nil)
		a.attestation, raw = parsed, parsed.Quote
	}
	quote, err := tdx.Parse(raw)
	if err != nil {
		return a.check("quote", "", err)
	}
	a.check("quote", fmt.Sprintf("Intel TDX, version %d", quote.Version), nil)
	a.quote, a.verdict.TD = quote, quote.TD
	if a.attestation == nil && len(e.EventLog) > 0 {
		if a.attestation, err = attestation.Legacy(raw, quote.TD.ReportData, e.EventLog); err != nil {
			return a.check("event log", "", err)
		}
		a.attestation.Config = e.VMConfig
	}
	return true
}

// binding: the machine asked for the quote to speak for this key.
func (a *appraisal) binding(context.Context) bool {
	td := &a.quote.TD
	if a.attestation != nil {
		if err := checkReportData(td, a.attestation.ReportData); err != nil {
			a.check("report data", "", err)
		}
	}
	if key := a.evidence.PublicKey; len(key) > 0 {
		a.check("key binding", fmt.Sprintf("report data %x", td.ReportData), checkBinding(td, cmp.Or(a.evidence.Tag, attestation.TagRATLSCert), key))
	}
	return true
}

func (a *appraisal) eventLog(context.Context) bool {
	switch {
	case a.attestation != nil:
		rtmr3 := a.quote.TD.RTMR[3]
		a.check("event log", fmt.Sprintf("RTMR3 %x", rtmr3), a.attestation.RuntimeEvents.Verify(rtmr3))
	case a.hasty:
		a.check("event log", "", errors.New("is missing, and the app is not known without"))
	}
	return true
}

// chain finds out the platform. The steps are those of Intel's rules, which look at
// the chain again.
func (a *appraisal) chain(context.Context) bool {
	chain, err := a.quote.VerifyChain(a.root, a.at)
	if err != nil {
		return a.check("PCK chain", "", err)
	}
	pck, err := tdx.ParsePCK(chain.Leaf)
	if err != nil {
		return a.check("PCK certificate", "", err)
	}
	a.platform = pccs.Platform{FMSPC: pck.FMSPC, CA: pck.CA}
	return true
}

func (a *appraisal) hardware(ctx context.Context) bool {
	collateral, err := a.source.Prepared(ctx, a.platform)
	if err != nil {
		return a.check("collateral", a.platform.String(), err)
	}
	a.collateral = collateral
	result, err := collateral.Verify(a.quote, a.at)
	a.steps = append(a.steps, result.Steps...)
	if err != nil {
		a.err = cmp.Or(a.err, err)
		return false
	}
	result.Steps = nil // a verdict is kept; its steps are not
	a.verdict.TCB, a.verdict.Expires = *result, result.Expires
	return true
}

// describe finds out what runs in the machine.
func (a *appraisal) describe(context.Context) bool {
	if a.attestation == nil {
		return true
	}
	config, err := parseVMConfig(a.attestation.Config)
	if err != nil {
		return a.check("configuration", "", err)
	}
	td, log := &a.quote.TD, a.attestation.RuntimeEvents
	info, err := deriveAppInfo(td, log, a.verdict.TCB.PPID[:], config)
	if err == nil && info.AppID.IsZero() {
		err = errors.New("no event names the app")
	}
	if !a.check("app", fmt.Sprintf("%s, instance %s, compose hash %s", info.AppID, info.InstanceID, info.ComposeHash), err) {
		return false
	}
	a.verdict.AppInfo = info
	copy(a.verdict.OSImage[:], log.Payload(attestation.EventOSImageHash)) // its length was checked
	a.verdict.KeyProvider, err = parseKeyProvider(info.KeyProviderInfo)
	a.check("key provider", a.verdict.KeyProvider.String(), err)
	_, err = checkMRConfigID(td.MRConfigID, &info, config.MRConfig)
	a.check("mr_config_id", fmt.Sprintf("%x", td.MRConfigID), err)
	return true
}

// judge applies the policy.
func (a *appraisal) judge(context.Context) bool {
	for _, r := range a.rules.judge(&a.verdict, a.evidence.Issued, a.at) {
		a.check("policy: "+r.name, r.value, r.refused)
	}
	return true
}

// entry is what is remembered of an outcome that had collateral.
func (a *appraisal) entry(v *Verdict, err error) *remembered {
	r := &remembered{verdict: v, err: err, policy: a.rules, platform: a.platform, collateral: a.collateral}
	if err != nil {
		r.until = a.at.Add(keepRefusal)
		return r
	}
	r.until = v.Expires
	if limit := a.evidence.Issued.Add(a.rules.MaxAge); a.rules.MaxAge > 0 && limit.Before(r.until) {
		r.until = limit
	}
	return r
}
