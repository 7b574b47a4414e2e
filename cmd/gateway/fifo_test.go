package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/config"
	"sallyport/gateway/appraise"
	"sallyport/internal/gwtest"
	"sallyport/ratls"
	"sallyport/ratls/pccs"
)

// Whatever file an operator names: nothing waits until somebody writes into a FIFO in its place.
func TestFIFOInPlaceOfAFileIsRefusedByName(t *testing.T) {
	dir := t.TempDir()
	kms, err := ratls.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := kms.Issue(ratls.Request{AppID: ratls.AppID{1}})
	if err := errors.Join(err, kms.Save(dir)); err != nil {
		t.Fatal(err)
	}
	cert, key, ca := filepath.Join(dir, "rpc.pem"), filepath.Join(dir, "rpc.key"), filepath.Join(dir, ratls.RootFile)
	if err := ratls.WriteFiles(pair, cert, key); err != nil {
		t.Fatal(err)
	}
	join := func(f joinFlags) error {
		_, err := f.clients()
		return err
	}
	for _, c := range []struct {
		name string
		read func(fifo string) error
	}{
		{"join --cert", func(fifo string) error { return join(joinFlags{cert: fifo, key: key, ca: ca}) }},
		{"join --key", func(fifo string) error { return join(joinFlags{cert: cert, key: fifo, ca: ca}) }},
		{"join --ca", func(fifo string) error { return join(joinFlags{cert: cert, key: key, ca: fifo}) }},
		{"--collateral", func(fifo string) error { _, err := pccs.File(fifo, nil); return err }},
		{"--policy", func(fifo string) error { _, err := config.LoadAttestation(fifo); return err }},
		{"insecure_root_ca", func(fifo string) error {
			_, err := appraise.VerifierOptions(config.Attestation{InsecureRootCA: fifo})
			return err
		}},
		{"verify", func(fifo string) error { _, _, err := readSubject(fifo); return err }},
	} {
		fifo := filepath.Join(t.TempDir(), "fifo")
		if err := gwtest.ErrorWithFIFO(t, fifo, c.read); err == nil || !strings.Contains(err.Error(), "regular file") || !strings.Contains(err.Error(), fifo) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
