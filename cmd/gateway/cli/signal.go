package cli

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// UntilSignal returns a context that ends at the first SIGINT or SIGTERM. It calls again,
// unless that is nil, at each further one. The returned function gives the signals back.
func UntilSignal(ctx context.Context, again func()) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := OnSignal(func() {
		if ctx.Err() != nil && again != nil {
			again()
		}
		cancel()
	}, syscall.SIGINT, syscall.SIGTERM)
	return ctx, func() {
		stop()
		cancel()
	}
}

// OnSignal calls f for each of the signals, one after the other, until the returned
// function is called, which waits for the last call.
func OnSignal(f func(), sigs ...os.Signal) (stop func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, sigs...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range signals {
			f()
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
	}
}

// lastResort is how long a process may take to stop when it is asked to end at once: in
// kernel mode the interface and its isolation are taken down.
const lastResort = 10 * time.Second

// lineTime is how long the last line may take to reach its reader.
const lineTime = 100 * time.Millisecond

// EndSoon ends the process after ten seconds, unless the timer is stopped.
func EndSoon(log *slog.Logger) *time.Timer {
	return time.AfterFunc(lastResort, func() {
		log.Error("stopping takes too long; the process exits now", "limit", lastResort.String())
		<-time.After(lineTime)
		os.Exit(ExitFailed)
	})
}
