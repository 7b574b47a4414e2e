package main

import (
	"fmt"
	"os"
	"testing"
	"time"

	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls"
	"sallyport/ratls/tdx"
)

// systemOf is the system that a guest of a world runs.
func systemOf(world *tdxpki.PKI, g tdxpki.Guest) ratls.Measurement {
	q, err := tdx.Parse(world.Guest(g).Quote)
	if err != nil {
		panic(err)
	}
	return ratls.Measurement{MRTD: &q.TD.MRTD, RTMR0: &q.TD.RTMR[0], RTMR1: &q.TD.RTMR[1], RTMR2: &q.TD.RTMR[2]}
}

// measurementFlag is m as --measurement takes it.
func measurementFlag(m ratls.Measurement) string {
	return fmt.Sprintf("mrtd=%x,rtmr0=%x,rtmr1=%x,rtmr2=%x", *m.MRTD, *m.RTMR0, *m.RTMR1, *m.RTMR2)
}

// measurementTable is m as an allow file lists it.
func measurementTable(m ratls.Measurement) string {
	return fmt.Sprintf("[[measurement]]\nmrtd = \"%x\"\nrtmr0 = \"%x\"\nrtmr1 = \"%x\"\nrtmr2 = \"%x\"\n", *m.MRTD, *m.RTMR0, *m.RTMR1, *m.RTMR2)
}

// whole makes a file one that was written some time ago: an allow file that is new may not
// be whole, and is waited for.
func whole(t *testing.T, path string) {
	t.Helper()
	past := time.Now().Add(-time.Minute)
	if err := os.Chtimes(path, past, past); err != nil {
		t.Fatal(err)
	}
}
