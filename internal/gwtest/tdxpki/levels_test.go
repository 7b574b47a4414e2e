package tdxpki

import (
	"strings"
	"testing"

	"github.com/google/go-tdx-guest/abi"
	"github.com/google/go-tdx-guest/verify"
)

func TestSVNsChooseTheStatus(t *testing.T) {
	statuses := map[uint16]string{
		SVNUpToDate: UpToDate, SVNSWHardeningNeeded: SWHardeningNeeded, SVNConfigurationNeeded: ConfigurationNeeded,
		SVNConfigurationAndSWHardeningNeeded: ConfigurationAndSWHardeningNeeded, SVNOutOfDate: OutOfDate,
		SVNOutOfDateConfigurationNeeded: OutOfDateConfigurationNeeded, SVNRevoked: Revoked,
		0: "no level",
	}
	for svn, want := range statuses {
		platform, _ := levels(t, func(p *PKI, q *Quote) {
			p.SetPCK(func(k *PCK) { k.Components[0] = byte(svn) })
			withoutModule(q)
		})
		module, _ := levels(t, func(_ *PKI, q *Quote) { q.TD.TEETCBSVN[0] = byte(svn) })
		_, enclave := levels(t, func(_ *PKI, q *Quote) { q.QE.ISVSVN = svn })
		if platform != want || module != want || enclave != want {
			t.Errorf("SVN %d: platform %s, module %s, QE %s, want %s", svn, platform, module, enclave, want)
		}
	}
}

func TestOldPCEOrMicrocodeIsOneLevelBelowTheBest(t *testing.T) {
	changes := map[string]func(*PKI, *Quote){
		"PCE": func(p *PKI, _ *Quote) { p.SetPCK(func(k *PCK) { k.PCESVN-- }) },
		"TDX": func(_ *PKI, q *Quote) { q.TD.TEETCBSVN[2]-- },
	}
	for name, change := range changes {
		if got, _ := levels(t, func(p *PKI, q *Quote) { change(p, q); withoutModule(q) }); got != SWHardeningNeeded {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// withoutModule leaves the platform's level alone to be judged: go-tdx-guest
// takes the module's instead of it, and does not merge the two.
func withoutModule(q *Quote) { q.TD.TEETCBSVN[1] = 0 }

// levels are what go-tdx-guest makes of platform or module, and QE.
func levels(t *testing.T, change func(*PKI, *Quote)) (tcb, qe string) {
	t.Helper()
	p := New(1, now)
	q := p.Quote()
	change(p, q)
	q.PCK = p.Leaf.Key
	q.SetChain(p.Leaf, p.Issuer(), p.Root)
	raw, o := q.Build(), options(p, p.Collateral().Sign())
	_ = verify.RawTdxQuoteContext(t.Context(), raw, o) // fails of any status but UpToDate, and fills in the options
	quote, err := abi.QuoteToProto(raw)
	if err != nil {
		t.Fatal(err)
	}
	tcbLevel, qeLevel, err := verify.SupportedTcbLevelsFromCollateral(quote, o)
	if err != nil && !strings.Contains(err.Error(), "no matching") && !strings.Contains(err.Error(), "could not find a TDX Module Identity TCB Level") {
		t.Fatal(err)
	}
	return orNone(string(tcbLevel.TcbStatus), err), orNone(string(qeLevel.TcbStatus), err)
}

func orNone(status string, err error) string {
	if status == "" && err != nil {
		return "no level"
	}
	return status
}
