package wg

import (
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// stepped is a machine whose wall clock an administrator steps.
type stepped struct{ step time.Duration }

func (c stepped) wall() time.Time { return time.Now().Round(0).Add(c.step) }

func (c stepped) look(h handshake, reported time.Time) handshake {
	return h.look(reported, c.wall(), time.Now())
}

func TestHandshakeAgesByMonotonicClockAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c stepped
		h := c.look(newborn(), time.Time{})
		if !h.at.IsZero() {
			t.Fatal("a handshake before the first")
		}
		time.Sleep(10 * time.Second) //nolint:forbidigo // the bubble's clock
		shook := c.wall()
		time.Sleep(3 * time.Second) //nolint:forbidigo // the bubble's clock
		h = c.look(h, shook)
		if age := time.Since(h.at); age != 3*time.Second {
			t.Fatalf("age %s, want 3s", age)
		}
		for _, step := range []time.Duration{time.Hour, -48 * time.Hour, 0, math.MaxInt64 / 2, math.MinInt64 / 2} {
			c.step = step
			time.Sleep(10 * time.Second) //nolint:forbidigo // the bubble's clock
			before := time.Since(h.at)
			h = c.look(h, shook)
			if age := time.Since(h.at); age != before {
				t.Errorf("a step of %s changed the age from %s to %s", step, before, age)
			}
		}
	})
}

func TestNewHandshakeIsNoOlderThanTheLastLook(t *testing.T) {
	for _, tc := range []struct {
		name  string
		step  time.Duration // of the clock, after the handshake was reported
		after time.Duration // from look to handshake
		want  time.Duration // of age, 10 s after the last look
	}{
		{"clock right", 0, 4 * time.Second, 6 * time.Second},
		{"clock stepped a day on", 24 * time.Hour, 4 * time.Second, 10 * time.Second},
		{"clock stepped a little on", 2 * time.Second, 4 * time.Second, 8 * time.Second},
		{"clock stepped back", -24 * time.Hour, 4 * time.Second, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c stepped
				h := c.look(newborn(), c.wall())
				time.Sleep(tc.after) //nolint:forbidigo // the bubble's clock
				shook := c.wall()
				time.Sleep(10*time.Second - tc.after) //nolint:forbidigo // the bubble's clock
				c.step = tc.step
				h = c.look(h, shook)
				if age := time.Since(h.at); age != tc.want {
					t.Errorf("age %s, want %s", age, tc.want)
				}
			})
		})
	}
}

func TestFirstLookBelievesTheWallClockWithinBounds(t *testing.T) {
	now := time.Now()
	for _, tc := range []struct {
		name     string
		reported time.Time
		want     time.Duration
	}{
		{"a minute ago", now.Add(-time.Minute), time.Minute},
		{"in the future", now.Add(time.Hour), 0},
		{"in 1970", time.Unix(1, 0), maxAge},
		{"absurdly late", time.Unix(math.MaxInt64, 0), 0},
		{"in 9999", time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := handshake{}.look(tc.reported.Round(0), now.Round(0), now)
			if age := now.Sub(h.at); tc.name != "absurdly late" && age != tc.want || age < 0 || age > maxAge {
				t.Errorf("age %s, want %s", age, tc.want)
			}
		})
	}
}

func TestPeerCreatedAgainHasNeverShakenHands(t *testing.T) {
	now := time.Now()
	h := handshake{}.look(now.Add(-time.Minute).Round(0), now.Round(0), now)
	if h = h.look(time.Time{}, now.Round(0), now); !h.at.IsZero() {
		t.Errorf("handshake at %s", h.at)
	}
}

func TestAgeKeepsItsMonotonicReading(t *testing.T) {
	now := time.Now()
	h := handshake{}.look(time.Unix(1, 0), now.Round(0), now)
	if !strings.Contains(h.at.String(), " m=") {
		t.Error("the monotonic reading is lost")
	}
}
