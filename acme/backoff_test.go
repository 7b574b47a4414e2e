package acme

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

func TestWhatWasNotOrderedIsTriedAgainSoon(t *testing.T) {
	preflight := fmt.Errorf("%w: no NS record", errPreflight)
	refused := acme.Problem{Type: acme.ProblemTypeUnauthorized}
	for _, c := range []struct {
		name   string
		failed []error
		want   time.Duration
	}{
		{"nowhere", []error{preflight, preflight}, uncounted},
		{"at the second authority", []error{preflight, refused}, 12 * time.Hour},
	} {
		err := (&attempt{failed: c.failed}).failure()
		if p := pause(9, err); p < c.want || p > c.want*11/10 {
			t.Errorf("%s: %v, want %v", c.name, p, c.want)
		}
		if !errors.Is(err, errPreflight) {
			t.Errorf("%s: %v has lost its cause", c.name, err)
		}
	}
	if p := pause(1, unordered{preflight}); p > 2*time.Minute {
		t.Errorf("the first time: %v", p)
	}
}
