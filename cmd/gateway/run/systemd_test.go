package run

import (
	"testing"
	"time"
)

func TestWatchdogOfAnotherProcessIsNotOurs(t *testing.T) {
	for name, test := range map[string]struct {
		pid, usec string
		want      time.Duration
		fails     bool
	}{
		"none":            {},
		"everybody's":     {usec: "60000000", want: time.Minute},
		"another's":       {pid: "1", usec: "60000000"},
		"not a number":    {usec: "a minute", fails: true},
		"more than a day": {usec: "86400000001", want: 24*time.Hour + time.Microsecond},
	} {
		t.Setenv("WATCHDOG_PID", test.pid)
		t.Setenv("WATCHDOG_USEC", test.usec)
		got, err := watchdogTime()
		if got != test.want || (err != nil) != test.fails {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
