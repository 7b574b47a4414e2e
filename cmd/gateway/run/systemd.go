package run

import (
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"
)

// systemd's watchdog (sd_watchdog_enabled(3)) is for a failure that the program cannot see
// itself: while the Go runtime waits to stop all goroutines and one never stops, no
// goroutine runs, not even the watchdog of the loops. After WatchdogSec= without a
// notification systemd ends the process and starts it again.

// notifySystemd notifies systemd's watchdog twice in each WatchdogSec=, until the process
// ends. Without a watchdog it does nothing.
func notifySystemd(log *slog.Logger) {
	every, err := watchdogTime()
	if every == 0 && err == nil {
		return
	}
	var to net.Conn
	if err == nil {
		to, err = net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET")) //nolint:noctx // connecting a datagram socket does not wait
	}
	if err != nil {
		log.Warn("cannot notify systemd's watchdog", "error", err)
		return
	}
	go func() {
		pause := max(every/2, time.Millisecond)
		for ; ; <-time.After(pause) {
			_ = to.SetWriteDeadline(time.Now().Add(pause)) // it fails only on a closed socket
			if _, err := to.Write([]byte("WATCHDOG=1")); err != nil {
				log.Warn("systemd's watchdog was not notified", "error", err)
			}
		}
	}()
}

// watchdogTime returns WatchdogSec= if it is for this process, else 0.
func watchdogTime() (time.Duration, error) {
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0, nil
	}
	text := os.Getenv("WATCHDOG_USEC")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	return time.Duration(min(n, 1<<50)) * time.Microsecond, err // and no overflow
}
