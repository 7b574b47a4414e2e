package verify

import (
	"path/filepath"
	"strings"
	"testing"

	"sallyport/config"
	"sallyport/gateway/appraise"
	"sallyport/internal/gwtest"
	"sallyport/ratls/pccs"
)

// Whatever file an operator names: nothing waits until somebody writes into a FIFO in its place.
func TestFIFOInPlaceOfAFileIsRefusedByName(t *testing.T) {
	for _, c := range []struct {
		name string
		read func(fifo string) error
	}{
		{"--collateral", func(fifo string) error { _, err := pccs.File(fifo, nil); return err }},
		{"--policy", func(fifo string) error { _, err := config.LoadAttestation(fifo); return err }},
		{"insecure_root_ca", func(fifo string) error {
			_, err := appraise.VerifierOptions(config.Attestation{InsecureRootCA: fifo})
			return err
		}},
		{"the evidence", func(fifo string) error { _, _, err := readSubject(fifo); return err }},
	} {
		fifo := filepath.Join(t.TempDir(), "fifo")
		if err := gwtest.ErrorWithFIFO(t, fifo, c.read); err == nil || !strings.Contains(err.Error(), "regular file") || !strings.Contains(err.Error(), fifo) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
