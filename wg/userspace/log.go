package userspace

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.zx2c4.com/wireguard/device"
)

// wireguard-go complains once per packet or per try. A hostile peer, or many dead
// ones, must not fill the log: this many lines pass per interval, and the next
// line says how many did not.
const (
	warnBurst    = 10
	warnInterval = 10 * time.Second
)

type warnLimit struct {
	mu      sync.Mutex
	since   time.Time
	passed  int
	dropped int
}

// pass reports whether a line may be written, and how many were dropped before it.
func (l *warnLimit) pass(now time.Time) (dropped int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.since) >= warnInterval {
		l.since, l.passed = now, 0
	}
	if l.passed == warnBurst {
		l.dropped++
		return 0, false
	}
	l.passed++
	dropped, l.dropped = l.dropped, 0
	return dropped, true
}

// newLogger routes wireguard-go's log: errors become warnings, because the tunnels of
// the other peers go on; the rest is logged at debug level.
func newLogger(log *slog.Logger) *device.Logger {
	var limit warnLimit
	return &device.Logger{
		Verbosef: func(format string, args ...any) {
			if log.Enabled(context.Background(), slog.LevelDebug) {
				log.Debug("wireguard", "text", fmt.Sprintf(format, args...))
			}
		},
		Errorf: func(format string, args ...any) {
			text := fmt.Sprintf(format, args...)
			if strings.Contains(text, awaited) {
				log.Debug("wireguard", "text", text)
				return
			}
			if dropped, ok := limit.pass(time.Now()); ok {
				log.Warn("wireguard", "text", text, "lines_dropped", dropped)
			}
		},
	}
}

// awaited is the part of a message of wireguard-go, which has no type, about a peer
// that has not called yet. A gateway's guests always call first: for it that is no
// error.
const awaited = "no known endpoint for peer"
