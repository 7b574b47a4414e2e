package userspace

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestFloodOfComplaintsDoesNotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := newLogger(slog.New(slog.NewTextHandler(&out, nil)))
		for range 1000 {
			l.Errorf("packet %d", 1)
		}
		time.Sleep(warnInterval) //nolint:forbidigo // the bubble's clock
		l.Errorf("packet %d", 2)
		l.Verbosef("not at this level")
		if n := strings.Count(out.String(), "\n"); n != warnBurst+1 {
			t.Errorf("%d lines", n)
		}
		if !strings.Contains(out.String(), "lines_dropped=990") {
			t.Error("the dropped lines are not counted")
		}
	})
}

func TestPeerThatHasNotCalledYetIsNoWarning(t *testing.T) {
	var out bytes.Buffer
	l := newLogger(slog.New(slog.NewTextHandler(&out, nil)))
	l.Errorf("%v - Failed to send handshake initiation: %v", "peer(x)", "no known endpoint for peer")
	if out.Len() != 0 {
		t.Errorf("logged %q", out.String())
	}
	l.Errorf("%v - Failed to send handshake initiation: %v", "peer(x)", "network is unreachable")
	if out.Len() == 0 {
		t.Error("a real failure was not logged")
	}
}
