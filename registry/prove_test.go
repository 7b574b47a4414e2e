package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/vm"
	"sallyport/registry/record"
)

// court judges evidence in a test: what it has no verdict on is accepted.
type court struct {
	mu       sync.Mutex
	verdicts map[string]error // by evidence
	asked    []string
	before   func() // nil, or called before each appraisal
}

func (c *court) appraise(_ context.Context, id vm.InstanceID, app vm.AppID, evidence []byte) error {
	if c.before != nil {
		c.before()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, fmt.Sprintf("%s %s %s", app, id, evidence))
	return c.verdicts[string(evidence)]
}

func (c *court) rules(evidence string, verdict error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.verdicts[evidence] = verdict
}

// heard returns what was asked since it was called last.
func (c *court) heard() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := c.asked
	c.asked = nil
	return asked
}

var errOutOfDate = errors.New("TCB status OutOfDate")

// newCourtRig is a rig whose evidence the court appraises.
func newCourtRig(t testing.TB, change func(*Options)) (*rig, *court) {
	t.Helper()
	c := &court{verdicts: make(map[string]error)}
	return newRig(t, func(o *Options) {
		o.Appraise = c.appraise
		o.RecycleAfter = 1000 * time.Hour
		if change != nil {
			change(o)
		}
	}), c
}

// proven is a registration with evidence.
func proven(app, instance, evidence string) Request {
	q := request(app, instance)
	q.Evidence = []byte(evidence)
	return q
}

// stored is the evidence in the store; "" if there is none.
func (g *rig) stored(t testing.TB, id vm.InstanceID) string {
	t.Helper()
	p, _, err := g.store.Get(t.Context(), record.EvidenceKey(id))
	if err != nil {
		t.Fatal(err)
	}
	return string(p.Value)
}

func (g *rig) revision(t testing.TB) int64 {
	t.Helper()
	_, revision, err := g.store.List(t.Context(), record.Prefix)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func TestUnchangedEvidenceTouchesNothing(t *testing.T) {
	g, court := newCourtRig(t, nil)
	q := proven("app", "one", "good")
	g.register(t, q)
	court.heard()
	revision, calls, shown := g.revision(t), g.dev.calls, g.board.calls
	bare := request("app", "one") // says nothing
	for _, again := range []Request{q, bare, q} {
		if got := g.register(t, again); got.Changed {
			t.Errorf("a change: %+v", got)
		}
	}
	if g.revision(t) != revision || g.dev.calls != calls || g.board.calls != shown || len(court.heard()) > 0 {
		t.Error("store, tunnel or data plane were touched, or it was appraised again")
	}
	if g.stored(t, "one") != "good" {
		t.Error("the evidence is gone")
	}
}

func TestChangedEvidenceIsAppraisedAndStored(t *testing.T) {
	g, court := newCourtRig(t, nil)
	g.register(t, proven("app", "one", "first"))
	if got := g.register(t, proven("app", "one", "second")); !got.Changed || g.stored(t, "one") != "second" {
		t.Errorf("%+v, stored %q", got, g.stored(t, "one"))
	}
	court.rules("third", errOutOfDate)
	g.refuses(t, proven("app", "one", "third"), ErrEvidence)
	if s, ok := g.board.get("one"); !ok || s.Refused != "" || g.stored(t, "one") != "second" {
		t.Errorf("what was refused changed something: %+v, stored %q", s, g.stored(t, "one"))
	}
	if want := []string{"app one first", "app one second", "app one third"}; !slices.Equal(court.heard(), want) {
		t.Errorf("not appraised: %q", want)
	}
	g.register(t, request("app", "two")) // later it has some
	g.register(t, proven("app", "two", "late"))
	g.consistent(t)
	g.restart(t)
	g.consistent(t)
	if g.stored(t, "two") != "late" {
		t.Error("the evidence is lost")
	}
}

func TestUndecidedEvidenceIsNotAdmitted(t *testing.T) {
	g, court := newCourtRig(t, nil)
	court.rules("new", fmt.Errorf("%w: no collateral", ErrUndecided))
	g.refuses(t, proven("app", "one", "new"), ErrUndecided)
	if len(g.board.all()) > 0 || len(g.Status()) > 0 {
		t.Error("it is there")
	}
	g.consistent(t)
}

func TestEvidenceGoesWithItsInstance(t *testing.T) {
	g, _ := newCourtRig(t, nil)
	g.register(t, proven("app", "one", "good"))
	g.o.RecycleAfter = -1
	if err := g.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(g.board.all()) > 0 || g.stored(t, "one") != "" {
		t.Errorf("still there: %v, %q", g.board.all(), g.stored(t, "one"))
	}
	g.consistent(t)
}

func TestEvidenceHasALimit(t *testing.T) {
	g, _ := newCourtRig(t, nil)
	q := request("app", "one")
	q.Evidence = bytes.Repeat([]byte("x"), MaxEvidence+1)
	g.refuses(t, q, ErrInvalid)
	q.Evidence = q.Evidence[:MaxEvidence]
	g.register(t, q)
	g.consistent(t)
}

// A new tunnel key says nothing about the evidence: it needs no verdict, which may not be
// had now.
func TestAcceptedEvidenceIsNotAppraisedForANewKey(t *testing.T) {
	g, court := newCourtRig(t, nil)
	q := proven("app", "one", "good")
	g.register(t, q)
	court.rules("good", ErrUndecided)
	q.Key = key("another")
	g.register(t, q)
	g.consistent(t)
}

// A guest that runs another compose file than its evidence proves cannot leave new
// evidence at home: what is kept is no longer about it.
func TestEvidenceOfAnotherComposeFileDoesNotCount(t *testing.T) {
	g, _ := newCourtRig(t, nil)
	g.register(t, proven("app", "one", "good"))
	q := request("app", "one")
	q.Compose = compose("another")
	g.refuses(t, q, ErrNoEvidence)
	q.Evidence = []byte("of another")
	g.register(t, q)
	if g.stored(t, "one") != "of another" {
		t.Errorf("stored %q", g.stored(t, "one"))
	}
	g.consistent(t)
}

// Evidence belongs to the WireGuard key that it came with: a certificate without evidence
// does not redirect the traffic of a proven instance. An instance that has never shown
// any may change its key as it likes.
func TestNewKeyWithoutEvidenceIsAskedForIt(t *testing.T) {
	g, _ := newCourtRig(t, nil)
	was := g.register(t, proven("app", "one", "good")).Spec
	q := request("app", "one")
	q.Key = key("another")
	g.refuses(t, q, ErrNoEvidence)
	g.restart(t)
	g.refuses(t, q, ErrNoEvidence)
	if s, _ := g.board.get("one"); s != was {
		t.Errorf("what was refused made %+v of %+v", s, was)
	}
	g.register(t, request("app", "one")) // the key that it came with
	q.Evidence = []byte("good")
	if got := g.register(t, q).Spec; got.Key != q.Key {
		t.Errorf("with evidence: %+v", got)
	}
	q.Evidence = nil
	g.register(t, q)
	g.refuses(t, request("app", "one"), ErrNoEvidence) // nor back to the first key

	never := request("app", "two")
	g.register(t, never)
	never.Key = key("another of two")
	g.register(t, never)
	g.consistent(t)
}

func TestRequiredEvidenceIsRequired(t *testing.T) {
	g, _ := newCourtRig(t, nil)
	addr := g.register(t, request("app", "one")).Spec.Addr
	g.register(t, proven("app", "two", "good"))
	g.opts.RequireEvidence = true
	g.restart(t)
	g.consistent(t)
	if s, _ := g.board.get("one"); s.Refused == "" {
		t.Errorf("without evidence it is routable after a restart: %+v", s)
	}
	if s, _ := g.board.get("two"); s.Refused != "" {
		t.Errorf("refused in spite of its evidence: %s", s.Refused)
	}
	g.refuses(t, request("app", "one"), ErrNoEvidence)
	g.refuses(t, request("app", "three"), ErrNoEvidence)
	g.refuses(t, request("app", "two"), ErrNoEvidence)
	if got := g.register(t, proven("app", "one", "good")).Spec; got.Refused != "" || got.Addr != addr {
		t.Errorf("back as %+v, it had %s", got, addr)
	}
	g.consistent(t)
}

// Guests come back with evidence when they read these words.
func TestNoEvidenceHasTheTextOfTheProtocol(t *testing.T) {
	if ErrNoEvidence.Error() != "no attestation provided" {
		t.Error(ErrNoEvidence)
	}
	for _, err := range []error{ErrEvidence, ErrUndecided} {
		if strings.Contains(err.Error(), ErrNoEvidence.Error()) {
			t.Errorf("%q makes guests repeat themselves", err)
		}
	}
}

func TestRefusalTextIsFitForATerminal(t *testing.T) {
	for in, want := range map[string]string{
		"TCB status OutOfDate":         "TCB status OutOfDate",
		"app \x1b[2J\n\u202ename\xff ": "app  [2J  name?",
		"":                             "no reason given",
		"\n":                           "no reason given",
		strings.Repeat("€", 200):       strings.Repeat("€", record.MaxReason/3),
	} {
		if got := refusalText(errors.New(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
