package qvl

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls/tdx"
)

// A world is a synthetic platform, its quote and its collateral, in which all is
// well until a test changes something.
type world struct {
	*tdxpki.PKI
	forger *tdxpki.PKI // of the same names and other keys

	quote *tdxpki.Quote      // signed by verify
	docs  *tdxpki.Collateral // signed by verify
	at    time.Time
	root  *x509.Certificate

	changeQuote func(*tdxpki.Quote)     // after it was signed
	changeDocs  func(*tdxpki.Documents) // after they were signed
}

func newWorld() *world {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	w := &world{PKI: tdxpki.New(1, now), forger: tdxpki.New(2, now), at: now}
	w.quote, w.docs, w.root = w.Quote(), w.Collateral(), w.Root.Cert()
	return w
}

// recertify changes what the platform's certificate says, and not the collateral.
func (w *world) recertify(change func(*tdxpki.PCK)) {
	w.SetPCK(change)
	w.quote.SetChain(w.Leaf, w.Issuer(), w.Root)
}

func (w *world) signedQuote(tb testing.TB) *tdx.Quote {
	tb.Helper()
	raw := w.quote.Build()
	if w.changeQuote != nil {
		w.changeQuote(w.quote)
		raw = w.quote.Encode()
	}
	q, err := tdx.Parse(raw)
	if err != nil {
		tb.Fatal(err)
	}
	return q
}

func (w *world) collateral() *Collateral {
	d := w.docs.Sign()
	if w.changeDocs != nil {
		w.changeDocs(&d)
	}
	c := Collateral(d)
	return &c
}

func (w *world) verify(tb testing.TB) (*Result, error) {
	tb.Helper()
	return Verify(w.signedQuote(tb), w.collateral(), w.at, w.root)
}

func stepOf(r *Result, name string) Step {
	i := slices.IndexFunc(r.Steps, func(s Step) bool { return s.Name == name })
	if i < 0 {
		return Step{}
	}
	return r.Steps[i]
}

// broken lists the rules of a result that do not hold.
func broken(r *Result) []string {
	var names []string
	for _, s := range r.Steps {
		if s.Err != nil {
			names = append(names, s.Name)
		}
	}
	return names
}

// A breach is one change, and what must come of it: exactly these rules, parted
// by "; ", are broken, and the first one's error contains the words.
type breach struct {
	name, rules, words string
	change             func(*world)
}

func checkBreaches(t *testing.T, list []breach) {
	for _, b := range list {
		t.Run(b.name, func(t *testing.T) {
			w := newWorld()
			b.change(w)
			r, err := w.verify(t)
			if err == nil {
				t.Fatalf("passes with status %s", r.Status)
			}
			if got := strings.Join(broken(r), "; "); got != b.rules {
				t.Errorf("broken: %s\nwant    %s", got, b.rules)
			}
			if first, _, _ := strings.Cut(b.rules, ";"); !strings.HasPrefix(err.Error(), first+": ") || !strings.Contains(err.Error(), b.words) {
				t.Errorf("error %q, want %q of the rule %q", err, b.words, first)
			}
			if r.Status != 0 || !r.Expires.IsZero() || r.Platform.Status != 0 {
				t.Errorf("a verdict beside an error: %+v", r)
			}
		})
	}
}

func TestWorldIsUpToDate(t *testing.T) {
	for name, change := range map[string]func(*world){
		"version 4":          func(*world) {},
		"version 5, TDX 1.0": func(w *world) { w.quote = w.QuoteV5(); w.quote.BodyType = tdxpki.BodyTD10 },
		"version 5, TDX 1.5": func(w *world) { w.quote = w.QuoteV5() },
		"Processor CA":       func(w *world) { w.UseProcessorCA(); w.quote, w.docs = w.Quote(), w.Collateral() },
		"module of TDX 1.0":  func(w *world) { w.quote.TD.TEETCBSVN[1] = 0 },
		"QE identity 3":      func(w *world) { w.docs.QEIdentity.Version = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			change(w)
			r, err := w.verify(t)
			if err != nil {
				t.Fatal(err)
			}
			if r.Status != UpToDate || len(broken(r)) > 0 || r.Module.Status != UpToDate {
				t.Errorf("%s, broken %v", r.Status, broken(r))
			}
			if r.FMSPC != w.PCK.FMSPC || r.PPID != w.PCK.PPID {
				t.Errorf("FMSPC %x, PPID %x", r.FMSPC, r.PPID)
			}
		})
	}
}
