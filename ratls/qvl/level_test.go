package qvl

import (
	"slices"
	"testing"
	"time"

	"sallyport/internal/gwtest/tdxpki"
)

// verdict is the status of a world that must pass.
func (w *world) verdict(t *testing.T) *Result {
	t.Helper()
	r, err := w.verify(t)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestOrderOfServedLevelsDoesNotCount(t *testing.T) {
	w := newWorld()
	info := &w.docs.TCBInfo
	slices.Reverse(info.TCBLevels)
	slices.Reverse(info.TDXModuleIdentities[1].TCBLevels)
	slices.Reverse(w.docs.QEIdentity.TCBLevels)
	if r := w.verdict(t); r.Status != UpToDate {
		t.Errorf("%s: %v %v %v", r.Status, r.Platform, r.Module, r.QE)
	}
}

// The first level is that of the highest SGX components, not of the latest date
// or of the highest sum.
func TestLevelsAreSortedByComponentsThenPCESVNThenTDX(t *testing.T) {
	level := func(status string, pce uint16, sgx, sgx2, tdx byte) tdxpki.TCBLevel {
		l := tdxpki.TCBLevel{TCBStatus: status, TCBDate: time.Unix(0, 0).UTC()}
		l.TCB.PCESVN, l.TCB.SGX, l.TCB.TDX = pce, make([]tdxpki.Component, 16), make([]tdxpki.Component, 16)
		l.TCB.SGX[0].SVN, l.TCB.SGX[1].SVN, l.TCB.TDX[2].SVN = sgx, sgx2, tdx
		return l
	}
	for name, c := range map[string]struct {
		want   Status
		levels []tdxpki.TCBLevel
	}{
		"first component": {ConfigurationNeeded, []tdxpki.TCBLevel{
			level(tdxpki.UpToDate, 13, 6, 4, 4), level(tdxpki.ConfigurationNeeded, 1, 7, 0, 0),
		}},
		"second component": {ConfigurationNeeded, []tdxpki.TCBLevel{
			level(tdxpki.UpToDate, 13, 7, 3, 4), level(tdxpki.ConfigurationNeeded, 1, 7, 4, 0),
		}},
		"PCESVN": {ConfigurationNeeded, []tdxpki.TCBLevel{
			level(tdxpki.UpToDate, 12, 7, 4, 4), level(tdxpki.ConfigurationNeeded, 13, 7, 4, 0),
		}},
		"TDX component": {ConfigurationNeeded, []tdxpki.TCBLevel{
			level(tdxpki.UpToDate, 13, 7, 4, 3), level(tdxpki.ConfigurationNeeded, 13, 7, 4, 4),
		}},
		"one component too high": {UpToDate, []tdxpki.TCBLevel{
			level(tdxpki.UpToDate, 13, 7, 4, 4), level(tdxpki.ConfigurationNeeded, 13, 7, 5, 4),
		}},
		"PCESVN too high": {UpToDate, []tdxpki.TCBLevel{
			level(tdxpki.UpToDate, 13, 7, 4, 4), level(tdxpki.ConfigurationNeeded, 14, 7, 4, 4),
		}},
		"TDX component too high": {UpToDate, []tdxpki.TCBLevel{
			level(tdxpki.UpToDate, 13, 7, 4, 4), level(tdxpki.ConfigurationNeeded, 13, 7, 4, 5),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.docs.TCBInfo.TCBLevels = c.levels
			if r := w.verdict(t); r.Status != c.want {
				t.Errorf("%s, want %s", r.Status, c.want)
			}
		})
	}
}

// Where the module has an identity, the platform's levels say nothing of it.
func TestVersionOfAModuleCountsOnce(t *testing.T) {
	w := newWorld()
	for i := range w.docs.TCBInfo.TCBLevels {
		w.docs.TCBInfo.TCBLevels[i].TCB.TDX[0].SVN = 200
		w.docs.TCBInfo.TCBLevels[i].TCB.TDX[1].SVN = 200
	}
	if r := w.verdict(t); r.Status != UpToDate {
		t.Errorf("%s", r.Status)
	}
	w.quote.TD.TEETCBSVN[1] = 0
	if r, err := w.verify(t); err == nil {
		t.Errorf("module of TDX 1.0, of whose version nothing else says anything: %s", r.Status)
	}
}

func TestOlderPartsOfThePlatformCount(t *testing.T) {
	for name, change := range map[string]func(*world){
		"PCE":       func(w *world) { w.recertify(func(p *tdxpki.PCK) { p.PCESVN = 12 }) },
		"microcode": func(w *world) { w.quote.TD.TEETCBSVN[2] = 3 },
	} {
		w := newWorld()
		change(w)
		if r := w.verdict(t); r.Platform.Status != SWHardeningNeeded {
			t.Errorf("%s: %s", name, r.Platform)
		}
	}
}

func TestModuleIdentityIsFoundInAnyCase(t *testing.T) {
	w := newWorld()
	w.quote.TD.TEETCBSVN[1] = 0x1a
	w.docs.TCBInfo.TDXModuleIdentities[1].ID = "TDX_1a"
	if r := w.verdict(t); r.Status != UpToDate {
		t.Errorf("%s", r.Status)
	}
}

// The module that runs now is told, and the one that launched the TD counts.
func TestModuleAtLaunchCounts(t *testing.T) {
	w := newWorld()
	w.quote = w.QuoteV5()
	w.quote.TD.TEETCBSVN[0] = tdxpki.SVNOutOfDate
	r := w.verdict(t)
	if r.Status != OutOfDate {
		t.Errorf("%s", r.Status)
	}
	const want = "TEE TCB SVN 03010400000000000000000000000000, now 07010400000000000000000000000000: OutOfDate of "
	if got := stepOf(r, "TDX module TCB").Value; len(got) < len(want) || got[:len(want)] != want {
		t.Errorf("%q", got)
	}
}

func TestSmallerEvaluationNumberCounts(t *testing.T) {
	w := newWorld()
	w.docs.TCBInfo.TCBEvaluationDataNumber, w.docs.QEIdentity.TCBEvaluationDataNumber = 20, 19
	if r := w.verdict(t); r.EvaluationNumber != 19 {
		t.Errorf("%d", r.EvaluationNumber)
	}
	w.docs.TCBInfo.TCBEvaluationDataNumber = 18
	if r := w.verdict(t); r.EvaluationNumber != 18 {
		t.Errorf("%d", r.EvaluationNumber)
	}
}

// The first of all windows to end is the verdict's.
func TestVerdictExpiresWithTheFirstOfAll(t *testing.T) {
	at := newWorld().at
	end := at.Add(time.Hour)
	ends := func(t *tdxpki.Template) { t.NotAfter = end }
	for name, change := range map[string]func(*world){
		"TCB info":    func(w *world) { w.docs.TCBInfo.NextUpdate = end },
		"QE identity": func(w *world) { w.docs.QEIdentity.NextUpdate = end },
		"root CRL":    func(w *world) { w.docs.RootCRL.NextUpdate = end },
		"PCK CRL":     func(w *world) { w.docs.PCKCRL.NextUpdate = end },
		"root": func(w *world) {
			w.Root = w.Root.Reissue(nil, ends)
			w.quote, w.docs, w.root = w.Quote(), w.Collateral(), w.Root.Cert()
		},
		"PCK certificate": func(w *world) {
			w.quote.SetChain(w.Leaf.Reissue(w.Platform, ends), w.Platform, w.Root)
		},
		"PCK CA of the quote": func(w *world) {
			w.quote.SetChain(w.Leaf, w.Platform.Reissue(w.Root, ends), w.Root)
		},
		"PCK CA of the CRL": func(w *world) { w.docs.PCKCRLChain[0] = w.Platform.Reissue(w.Root, ends) },
		"TCB info's signer": func(w *world) {
			w.docs.TCBInfoChain = []*tdxpki.Entity{w.TCBSigning.Reissue(w.Root, ends), w.Root}
		},
		"QE identity's signer": func(w *world) {
			w.docs.QEIdentityChain = []*tdxpki.Entity{w.TCBSigning.Reissue(w.Root, ends), w.Root}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			change(w)
			if r := w.verdict(t); !r.Expires.Equal(end) {
				t.Errorf("expires %s, want %s", r.Expires, end)
			}
			w.at = end
			w.verdict(t)
			w.at = end.Add(time.Second)
			if _, err := w.verify(t); err == nil {
				t.Error("passes a second after it expired")
			}
		})
	}
}
