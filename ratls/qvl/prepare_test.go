package qvl

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/gwtest/tdxpki"
)

func TestBrokenCollateralIsNotPrepared(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*tdxpki.Documents)
		words  string
	}{
		"signature": {func(d *tdxpki.Documents) { d.TCBInfo[0] = '[' }, "TCB info signature: "},
		"empty":     {func(d *tdxpki.Documents) { *d = tdxpki.Documents{} }, "root CRL: "},
		"document":  {func(d *tdxpki.Documents) { d.QEIdentity = []byte("{}") }, "QE identity signature: "},
	} {
		w := newWorld()
		w.changeDocs = c.change
		p, err := Prepare(w.collateral(), w.root)
		if p != nil || err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v, %v, want %q", name, p, err, c.words)
		}
	}
}

// A document can be signed and not understood.
func TestSignedDocumentMustBeUnderstood(t *testing.T) {
	checkBreaches(t, []breach{
		{"TCB info of SGX", "TCB info", "want TDX", func(w *world) { w.docs.TCBInfo.ID = "SGX" }},
		{"QE identity of SGX", "QE identity", "want TD_QE", func(w *world) { w.docs.QEIdentity.ID = "QE" }},
		{"member twice", "TCB info", "twice", func(w *world) {
			w.changeDocs = func(d *tdxpki.Documents) {
				d.TCBInfo = append([]byte(`{"ID":"SGX",`), d.TCBInfo[1:]...)
				d.TCBInfoSignature = w.TCBSigning.SignJSON(d.TCBInfo)
			}
		}},
	})
}

func TestWindowIsWhereAllWindowsMeet(t *testing.T) {
	w := newWorld()
	w.docs.QEIdentity.IssueDate = w.at.Add(-time.Minute)
	w.docs.PCKCRL.NextUpdate = w.at.Add(time.Minute)
	p, err := Prepare(w.collateral(), w.root)
	if err != nil {
		t.Fatal(err)
	}
	from, until := p.Window()
	if !from.Equal(w.at.Add(-time.Minute)) || !until.Equal(w.at.Add(time.Minute)) {
		t.Errorf("%s to %s", from, until)
	}
	q := w.signedQuote(t)
	for at, ok := range map[time.Time]bool{from: true, until: true, from.Add(-1): false, until.Add(1): false} {
		if _, err := p.Verify(q, at); (err == nil) != ok {
			t.Errorf("at %s: %v", at, err)
		}
	}
}

func TestPreparedKeepsNothingOfCollateral(t *testing.T) {
	w := newWorld()
	c := w.collateral()
	p, err := Prepare(c, w.root)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{c.TCBInfo, c.TCBInfoChain, c.QEIdentity, c.QEIdentityChain, c.PCKCRL, c.PCKCRLChain, c.RootCRL} {
		clear(b)
	}
	if r, err := p.Verify(w.signedQuote(t), w.at); err != nil || r.Status != UpToDate {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestPreparedIsUsedConcurrently(t *testing.T) {
	w := newWorld()
	p, err := Prepare(w.collateral(), w.root)
	if err != nil {
		t.Fatal(err)
	}
	good := w.signedQuote(t)
	w.quote.TD.TDAttributes |= 1
	debug := w.signedQuote(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				if r, err := p.Verify(good, w.at); err != nil || r.Status != UpToDate {
					t.Errorf("%+v, %v", r, err)
				}
				if r, err := p.Verify(debug, w.at); err == nil || len(broken(r)) != 1 {
					t.Errorf("debug TD: %v, %v", broken(r), err)
				}
			}
		})
	}
	wg.Wait()
}

// Two results of one collateral are two: who changes one must not change the other.
func TestResultsShareNothing(t *testing.T) {
	w := newWorld()
	w.quote.QE.ISVSVN = tdxpki.SVNOutOfDate
	p, err := Prepare(w.collateral(), w.root)
	if err != nil {
		t.Fatal(err)
	}
	first, _ := p.Verify(w.signedQuote(t), w.at)
	clear(first.Steps)
	clear(first.QE.Advisories)
	second, _ := p.Verify(w.signedQuote(t), w.at)
	if slices.Contains(second.QE.Advisories, "") || slices.Contains(second.Advisories, "") {
		t.Errorf("advisories were changed: %q", second.QE.Advisories)
	}
	names := map[string]bool{}
	for _, s := range second.Steps {
		if s.Name == "" || names[s.Name] {
			t.Errorf("step %q comes twice, or was changed", s.Name)
		}
		names[s.Name] = true
	}
}
