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

// An appraisal is one piece of evidence on its way to a verdict. Strangers send evidence, so
// the steps are in the order of cost and trust: collateral is fetched only for a platform
// that Intel's signature vouches for, and the log is read only for a genuine quote. It takes
// up to 37 ms (230 kB of events), all signatures together take 0.7 ms.
type appraisal struct {
	*Verifier
	evidence Evidence
	hasty    bool // ends with the first broken rule
	again    bool // was accepted before: only what needs no collateral

	at          time.Time
	attestation *attestation.Attestation // nil: a quote alone
	quote       *tdx.Quote               // nil: could not be read
	platform    pccs.Platform            // zero: not by Intel
	collateral  *qvl.Prepared            // by which was judged; nil: nothing was
	log         *attestation.RuntimeLog  // nil: not proven
	rules       *Policy                  // that was applied; nil: none was
	verdict     Verdict

	steps []Step
	err   error // of the first step that has one
}

func (a *appraisal) run(ctx context.Context) (*Verdict, error) {
	return a.take(ctx,
		a.open,     // attestation and quote, as far as they can be read
		a.binding,  // the quote is for this key
		a.chain,    // and of a platform by Intel
		a.hardware, // and genuine, by all of Intel's rules
		a.eventLog, // the log is the one that was measured
		a.describe, // what runs there
		a.judge,    // is it good enough
	)
}

// runAgain is run without the steps that need collateral, for evidence that was accepted.
func (a *appraisal) runAgain(ctx context.Context) (*Verdict, error) {
	a.again = true
	return a.take(ctx, a.open, a.binding, a.eventLog, a.describe, a.judge)
}

// take takes the steps in order. It ends after the first that makes the next impossible.
func (a *appraisal) take(ctx context.Context, steps ...func(context.Context)) (*Verdict, error) {
	a.at = a.now()
	for _, step := range steps {
		step(ctx)
		if a.quote == nil || a.err != nil && a.hasty {
			break
		}
	}
	if a.err != nil {
		return nil, a.err
	}
	v := a.verdict // a copy: a verdict that is kept would keep the evidence too
	return &v, nil
}

// check adds a step to the report. It reports whether err is nil.
func (a *appraisal) check(name, value string, err error) bool {
	a.steps = append(a.steps, Step{Name: name, Value: value, Err: err})
	if err != nil && a.err == nil {
		a.err = fmt.Errorf("%s: %w", name, err)
	}
	return err == nil
}

// open reads the evidence. As in dstack, an attestation counts if there is one.
func (a *appraisal) open(context.Context) {
	raw := a.evidence.Quote
	if len(a.evidence.Attestation) > 0 {
		parsed, err := attestation.Parse(a.evidence.Attestation)
		if err != nil {
			a.check("attestation", "", err)
			return
		}
		a.check("attestation", fmt.Sprintf("version %d, %d events", parsed.Version, len(parsed.RuntimeEvents)), nil)
		a.attestation, raw = parsed, parsed.Quote
	}
	quote, err := tdx.Parse(raw)
	if err != nil {
		a.check("quote", "", err)
		return
	}
	a.check("quote", fmt.Sprintf("Intel TDX, version %d", quote.Version), nil)
	a.quote, a.verdict.TD = quote, quote.TD
}

// binding checks that the quote was requested for this key.
func (a *appraisal) binding(context.Context) {
	td := &a.quote.TD
	if a.attestation != nil {
		a.check("report data", fmt.Sprintf("%x", td.ReportData), checkReportData(td, a.attestation.ReportData))
	}
	if key := a.evidence.PublicKey; len(key) > 0 {
		tag := cmp.Or(a.evidence.Tag, attestation.TagRATLSCert)
		a.check("key binding", string(tag), checkBinding(td, tag, key))
	}
}

// chain identifies the platform. Intel's rules check the chain again later.
func (a *appraisal) chain(context.Context) {
	chain, err := a.quote.VerifyChain(a.root, a.at)
	if err != nil {
		a.check("PCK chain", "", err)
		return
	}
	pck, err := tdx.ParsePCK(chain.Leaf)
	if err != nil {
		a.check("PCK certificate", "", err)
		return
	}
	a.platform = pccs.Platform{FMSPC: pck.FMSPC, CA: pck.CA}
}

func (a *appraisal) hardware(ctx context.Context) {
	if a.platform == (pccs.Platform{}) {
		return
	}
	collateral, err := a.source.Prepared(ctx, a.platform)
	if err != nil {
		a.check("collateral", a.platform.String(), err)
		return
	}
	// Collateral that was fetched just now may be issued just now, after the time above.
	a.at = a.now()
	result, err := collateral.Verify(a.quote, a.at)
	a.steps = append(a.steps, result.Steps...)
	if from, until := collateral.Window(); a.at.Before(from) || a.at.After(until) {
		a.err = cmp.Or(a.err, fmt.Errorf("%w: %w", pccs.ErrUnavailable, err)) // err says which document
		return
	}
	a.collateral = collateral
	if err != nil {
		a.err = cmp.Or(a.err, err)
		return
	}
	result.Steps = nil // a verdict is kept; its steps are not
	a.verdict.TCB, a.verdict.Expires = *result, result.Expires
}

// genuine reports whether the hardware's part holds, or held before.
func (a *appraisal) genuine() bool { return a.verdict.TCB.Status != 0 || a.again }

// eventLog checks that the runtime events are those that were measured into RTMR3.
func (a *appraisal) eventLog(context.Context) {
	shown, e := a.attestation, a.evidence
	if shown == nil && len(e.EventLog) > 0 {
		var err error
		if shown, err = attestation.Legacy(e.Quote, a.quote.TD.ReportData, e.EventLog); err != nil {
			a.check("event log", "", err)
			return
		}
		shown.Config = e.VMConfig
	}
	if shown == nil {
		if a.hasty {
			a.check("event log", "", errors.New("is missing: the app is not known without it"))
		}
		return
	}
	rtmr3 := a.quote.TD.RTMR[3]
	if a.check("event log", fmt.Sprintf("RTMR3 %x", rtmr3), shown.RuntimeEvents.Verify(rtmr3)) {
		a.attestation, a.log = shown, &shown.RuntimeEvents
	}
}

// describe derives what runs in the CVM.
func (a *appraisal) describe(context.Context) {
	if !a.genuine() || a.log == nil {
		return
	}
	config, err := parseVMConfig(a.attestation.Config)
	if err != nil {
		a.check("configuration", "", err)
		return
	}
	td := &a.quote.TD
	info, err := deriveAppInfo(td, *a.log, a.verdict.TCB.PPID[:], config)
	if err == nil && info.AppID.IsZero() {
		err = errors.New("no event names the app")
	}
	if !a.check("app", fmt.Sprintf("%s, instance %s, compose hash %s", info.AppID, info.InstanceID, info.ComposeHash), err) {
		return
	}
	a.verdict.AppInfo = info
	copy(a.verdict.OSImage[:], a.log.Payload(attestation.EventOSImageHash)) // its length was checked
	a.verdict.KeyProvider, err = parseKeyProvider(info.KeyProviderInfo)
	a.check("key provider", a.verdict.KeyProvider.String(), err)
	_, err = checkMRConfigID(td.MRConfigID, &info, config.MRConfig)
	a.check("mr_config_id", fmt.Sprintf("%x", td.MRConfigID), err)
}

// judge applies the current policy: fetching may have taken half a minute.
func (a *appraisal) judge(context.Context) {
	if !a.genuine() {
		return
	}
	a.rules = a.policy.Load()
	a.verdict.SystemKnown = a.rules.knows(&a.verdict.TD)
	rules := a.rules.judge
	if a.again {
		rules = a.rules.judgeMachine
	}
	for _, r := range rules(&a.verdict, a.evidence.Issued, a.at) {
		a.check("policy: "+r.name, r.value, r.refused)
	}
}
