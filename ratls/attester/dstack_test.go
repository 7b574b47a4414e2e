package attester

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls/attestation"
)

func TestEvidenceOfTheAgentIsWhole(t *testing.T) {
	given := []byte(nil)
	socket := agent(t, func(q *attestation.QuoteAnswer) {
		a, err := attestation.Legacy(q.Quote, q.ReportData, []byte("[]"))
		if err != nil {
			t.Error(err)
		}
		if given, err = a.Marshal(); err != nil {
			t.Error(err)
		}
		q.Attestation = given
	})
	e, err := newDstack(socket).Attest(t.Context(), reportData)
	if err != nil {
		t.Fatal(err)
	}
	if e.ReportData != reportData || len(e.Quote) == 0 || !strings.Contains(e.EventLog, "app-id") || e.VMConfig != `{"cpu_count":2}` {
		t.Errorf("%+v", e)
	}
	if diff := cmp.Diff(given, e.Attestation); diff != "" {
		t.Errorf("the agent's attestation was changed (-want +got):\n%s", diff)
	}
}

// An old agent gives the parts; the whole is made of them.
func TestAttestationIsMadeWhereTheAgentHasNone(t *testing.T) {
	e, err := newDstack(agent(t, nil)).Attest(t.Context(), reportData)
	if err != nil {
		t.Fatal(err)
	}
	a, err := attestation.Parse(e.Attestation)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e.Quote, a.Quote); diff != "" || a.ReportData != reportData || a.Config != e.VMConfig || len(a.Events) != 2 {
		t.Errorf("%+v (-want +got):\n%s", a, diff)
	}
	want := attestation.RuntimeLog{{Name: "app-id", Payload: []byte{0, 0xff}}}
	if diff := cmp.Diff(want, a.RuntimeEvents); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The real answer of an agent, without its attestation, makes one that replays.
func TestRealAnswerMakesAnAttestationThatReplays(t *testing.T) {
	data, err := os.ReadFile("../../../shared/fixtures/dstack/quote-report.json")
	if err != nil {
		t.Skip("the fixtures are not here: ", err)
	}
	var real attestation.QuoteAnswer
	if err := json.Unmarshal(data, &real); err != nil {
		t.Fatal(err)
	}
	e, err := newDstack(agent(t, func(q *attestation.QuoteAnswer) { *q = real })).Attest(t.Context(), real.ReportData)
	if err != nil {
		t.Fatal(err)
	}
	a, err := attestation.Parse(e.Attestation)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.RuntimeEvents.Verify([48]byte(real.Quote[520:568])); err != nil { // RTMR3 in a quote of version 4
		t.Error(err)
	}
}

func TestEvidenceThatIsNotAboutTheQuestionIsRefused(t *testing.T) {
	other := quoteOf(tdxpki.New(1, time.Now()), []byte{9})
	for name, x := range map[string]struct {
		change func(*attestation.QuoteAnswer)
		want   string
	}{
		"no quote":        {func(q *attestation.QuoteAnswer) { q.Quote = nil }, "quote"},
		"cut quote":       {func(q *attestation.QuoteAnswer) { q.Quote = q.Quote[:600] }, "quote"},
		"another's quote": {func(q *attestation.QuoteAnswer) { q.Quote = other }, "other report data than requested"},
		"bad log":         {func(q *attestation.QuoteAnswer) { q.EventLog = "{" }, "event log"},
		"bad attestation": {func(q *attestation.QuoteAnswer) { q.Attestation = []byte{0, 0} }, "attestation"},
		"another's attestation": {func(q *attestation.QuoteAnswer) {
			a, err := attestation.Legacy(other, [64]byte{9}, []byte("[]"))
			if err != nil {
				t.Error(err)
			}
			if q.Attestation, err = a.Marshal(); err != nil {
				t.Error(err)
			}
		}, "attestation: the quote has other report data than requested"},
	} {
		e, err := newDstack(agent(t, x.change)).Attest(t.Context(), reportData)
		if err == nil || !strings.Contains(err.Error(), x.want) || !strings.Contains(err.Error(), "dstack guest agent at ") {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(attestation.QuoteAnswer{}, e); diff != "" {
			t.Errorf("%s: evidence with an error:\n%s", name, diff)
		}
	}
}

func TestAgentIsWaitedForNoLongerThanTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan struct{})
	socket := agent(t, func(*attestation.QuoteAnswer) {
		cancel()
		<-gone // no answer before that
	})
	_, err := newDstack(socket).Attest(ctx, reportData)
	close(gone)
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
