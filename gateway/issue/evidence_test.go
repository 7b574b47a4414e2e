package issue

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/acme"
	"sallyport/config"
	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls/attestation"
	"sallyport/ratls/tdx"
)

// evidenceOf asks an agent's machine for the evidence of a thing.
func evidenceOf(t *testing.T, socket string, s acme.Subject) (acme.Evidence, error) {
	t.Helper()
	attest, err := newAttest(t.Context(), &config.Config{RPC: config.RPC{DstackAgent: socket}}, slog.New(slog.DiscardHandler))
	if err != nil || attest == nil {
		t.Fatalf("nothing quotes: %v", err)
	}
	return attest(t.Context(), s)
}

func TestEvidenceOfAKeyReadsAsTheGuestAgentsAnswer(t *testing.T) {
	agent := tdxpki.NewAgent(t)
	for _, s := range []acme.Subject{
		{Kind: acme.SubjectCertificateKey, Data: []byte("a key")},
		{Kind: acme.SubjectAccount, Data: []byte("https://ca.example/acct/1")},
	} {
		e, err := evidenceOf(t, agent.Socket, s)
		if err != nil {
			t.Fatal(err)
		}
		var q struct { // as other programs read it
			Quote       string
			EventLog    string `json:"event_log"`
			ReportData  string `json:"report_data"`
			Attestation string
		}
		var whole struct{ Attestation string }
		if err := errors.Join(json.Unmarshal([]byte(e.Quote), &q), json.Unmarshal([]byte(e.Attestation), &whole)); err != nil {
			t.Fatal(err)
		}
		want := sha512.Sum512([]byte(s.Kind + ":" + string(s.Data)))
		raw, err := hex.DecodeString(q.Quote)
		if err != nil {
			t.Fatal(err)
		}
		quote, err := tdx.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if quote.TD.ReportData != want || q.ReportData != hex.EncodeToString(want[:]) {
			t.Errorf("%s: report data %x, published as %s, want %x", s.Kind, quote.TD.ReportData, q.ReportData, want)
		}
		raw, err = hex.DecodeString(whole.Attestation)
		if err != nil {
			t.Fatal(err)
		}
		a, err := attestation.Parse(raw)
		if err != nil || !bytes.Equal(a.Quote, mustHex(t, q.Quote)) || q.Attestation != whole.Attestation {
			t.Errorf("%s: the attestation is of another quote: %v", s.Kind, err)
		}
		if log, err := attestation.ParseEventLog([]byte(q.EventLog)); err != nil || len(log) == 0 {
			t.Errorf("%s: event log %q: %v", s.Kind, q.EventLog, err)
		}
	}
}

func mustHex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEvidenceOfTheKernelHasNeitherLogNorConfiguration(t *testing.T) {
	e, err := keyEvidence(attestation.QuoteAnswer{Quote: []byte{1}, ReportData: [64]byte{2}, Attestation: []byte{3}})
	want := acme.Evidence{
		Quote:       `{"quote":"01","event_log":"","report_data":"02` + strings.Repeat("00", 63) + `","vm_config":"","attestation":"03"}`,
		Attestation: `{"attestation":"03"}`,
	}
	if err != nil || e != want {
		t.Errorf("%+v, %v, want %+v", e, err, want)
	}
}

func TestEvidenceThatCannotBeKeptIsRefused(t *testing.T) {
	for size, fits := range map[int]bool{maxKeyEvidence / 5: true, maxKeyEvidence: false} {
		e, err := keyEvidence(attestation.QuoteAnswer{EventLog: strings.Repeat("x", size)})
		if (err == nil) != fits || (e != acme.Evidence{}) != fits {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestMachineWithoutQuotesDoesWithoutEvidence(t *testing.T) {
	const kernel = "/sys/kernel/config/tsm/report"
	if _, err := os.Stat(kernel); err == nil {
		t.Skipf("this machine can quote: it has %s", kernel)
	}
	var log bytes.Buffer
	cfg := &config.Config{RPC: config.RPC{DstackAgent: filepath.Join(t.TempDir(), "none.sock")}}
	attest, err := newAttest(t.Context(), cfg, slog.New(slog.NewTextHandler(&log, nil)))
	if attest != nil || err != nil {
		t.Errorf("%v", err)
	}
	text := log.String()
	if strings.Count(text, "\n") != 1 || !strings.Contains(text, "level=INFO") || !strings.Contains(text, "[rpc] dstack_agent") || !strings.Contains(text, cfg.RPC.DstackAgent) {
		t.Errorf("log:\n%s", text)
	}
}

func TestQuoteSourceThatDoesNotWorkIsAnError(t *testing.T) {
	cfg := &config.Config{RPC: config.RPC{DstackAgent: filepath.Join(t.TempDir(), strings.Repeat("x", 300))}}
	attest, err := newAttest(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if attest != nil || err == nil || !strings.Contains(err.Error(), "[acme] evidence of keys: ") {
		t.Errorf("%v", err)
	}
	agent := tdxpki.NewAgent(t)
	agent.Broken.Store(true)
	e, err := evidenceOf(t, agent.Socket, acme.Subject{Kind: acme.SubjectAccount, Data: []byte("x")})
	if (e != acme.Evidence{}) || err == nil || !strings.Contains(err.Error(), "out of quotes") {
		t.Errorf("%v, %v", e, err)
	}
}

// An RA-TLS certificate for a key of somebody else's choice must not come from here.
func TestNothingButKeysAndAccountsGetsEvidence(t *testing.T) {
	agent := tdxpki.NewAgent(t)
	for _, kind := range []string{"", string(attestation.TagRATLSCert), string(attestation.TagAppData), string(attestation.TagKMSRootCA)} {
		if _, err := evidenceOf(t, agent.Socket, acme.Subject{Kind: kind, Data: []byte("x")}); err == nil {
			t.Errorf("%q gets some", kind)
		}
	}
	if n := agent.Quotes.Load(); n != 0 {
		t.Errorf("%d quotes were made", n)
	}
}

// silentSource never answers.
type silentSource struct{}

func (silentSource) Attest(ctx context.Context, _ [64]byte) (attestation.QuoteAnswer, error) {
	<-ctx.Done()
	return attestation.QuoteAnswer{}, ctx.Err()
}

func (silentSource) String() string { return "silent" }

func TestSilentQuoteSourceIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := keyAttester{silentSource{}}.attest(t.Context(), acme.Subject{Kind: acme.SubjectAccount})
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != attestTimeout {
			t.Errorf("%v after %v", err, took)
		}
	})
}
