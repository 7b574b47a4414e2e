package cli

import (
	"syscall"
	"testing"
)

// raise sends a signal to this process.
func raise(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(syscall.Getpid(), s); err != nil {
		t.Fatal(err)
	}
}

func TestFirstSignalEndsTheContextAndTheSecondAsksAgain(t *testing.T) {
	again := make(chan struct{}, 1)
	ctx, stop := UntilSignal(t.Context(), func() { again <- struct{}{} })
	defer stop()
	raise(t, syscall.SIGTERM)
	<-ctx.Done()
	select {
	case <-again:
		t.Error("the first signal asks again")
	default:
	}
	raise(t, syscall.SIGINT)
	<-again
}

func TestFurtherSignalsMayMeanNothing(t *testing.T) {
	ctx, stop := UntilSignal(t.Context(), nil)
	seen := make(chan struct{})
	unhear := OnSignal(func() { close(seen) }, syscall.SIGUSR2)
	raise(t, syscall.SIGTERM)
	<-ctx.Done()
	raise(t, syscall.SIGTERM)
	raise(t, syscall.SIGUSR2)
	<-seen
	unhear()
	stop() // waits for the signals that have come
}
