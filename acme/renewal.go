package acme

import (
	"crypto/x509"
	"math/rand/v2"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"sallyport/internal/backoff"
)

// When a certificate is renewed: at a random moment of the window that its authority
// suggests (RFC 9773), else when the configured part of its life is left. A
// suggestion later than half of that is not followed: it may be a mistake, and then
// it would not be noticed until the end.

// suggestion is an authority's answer about one certificate.
type suggestion struct {
	Serial     string    `json:"serial"`
	Start      time.Time `json:"start"`
	End        time.Time `json:"end"`
	Chosen     time.Time `json:"chosen"` // between both, once per window
	AskAgain   time.Time `json:"ask_again"`
	Explained  string    `json:"explained,omitempty"` // URL
	Unanswered int       `json:"unanswered,omitempty"`
}

// Bounds of asking for suggestions. RFC 9773 (4.3.2) asks for a limit on both sides.
const (
	minAsk = time.Minute
	maxAsk = 24 * time.Hour
	askNow = 6 * time.Hour // where the authority does not say
)

// update takes an answer in at now.
func (s *suggestion) update(leaf *x509.Certificate, info acme.RenewalInfo, now time.Time) {
	start, end := info.SuggestedWindow.Start, info.SuggestedWindow.End
	serial := leaf.SerialNumber.Text(16)
	if s.Serial != serial || !s.Start.Equal(start) || !s.End.Equal(end) {
		*s = suggestion{Serial: serial, Start: start, End: end, Chosen: start}
		if span := end.Sub(start); span > 0 {
			s.Chosen = start.Add(rand.N(span))
		}
	}
	s.Unanswered, s.Explained = 0, info.ExplanationURL
	pause := askNow
	if info.RetryAfter != nil {
		pause = info.RetryAfter.Sub(now)
	}
	s.AskAgain = now.Add(min(max(pause, minAsk), maxAsk))
}

// unanswered puts the next question off. What was suggested before stays.
func (s *suggestion) unanswered(leaf *x509.Certificate, now time.Time) {
	if serial := leaf.SerialNumber.Text(16); s.Serial != serial {
		*s = suggestion{Serial: serial}
	}
	s.Unanswered++
	s.AskAgain = now.Add(backoff.Double(minAsk, askNow, s.Unanswered+1))
}

// ask reports whether the authority should be asked about leaf at now. A clock that
// was set back does not stop the asking.
func (s *suggestion) ask(leaf *x509.Certificate, now time.Time) bool {
	return s.Serial != leaf.SerialNumber.Text(16) || !now.Before(s.AskAgain) || s.AskAgain.After(now.Add(maxAsk))
}

// renewAt is when leaf is to be renewed. before is the configured remaining life, 0
// for a third of the whole.
func renewAt(leaf *x509.Certificate, before time.Duration, s suggestion) time.Time {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	if before <= 0 || before >= life {
		before = life / 3
	}
	if s.Serial != leaf.SerialNumber.Text(16) || s.Chosen.IsZero() {
		return leaf.NotAfter.Add(-before)
	}
	if latest := leaf.NotAfter.Add(-before / 2); s.Chosen.After(latest) {
		return latest
	}
	return s.Chosen
}

// remains is the part of its life that leaf has left at now, from 0 to 1.
func remains(leaf *x509.Certificate, now time.Time) float64 {
	left := float64(leaf.NotAfter.Sub(now)) / float64(leaf.NotAfter.Sub(leaf.NotBefore))
	return min(max(left, 0), 1)
}
