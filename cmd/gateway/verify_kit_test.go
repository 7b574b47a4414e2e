package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/internal/gwtest/tdxpki"
)

// verification is a directory with a world's collateral in it, and a policy by which the
// world's root stands for Intel's.
type verification struct {
	t     *testing.T
	dir   string
	world *tdxpki.PKI
}

func newVerification(t *testing.T) *verification {
	t.Helper()
	v := &verification{t: t, dir: t.TempDir(), world: tdxpki.New(1, time.Now())}
	v.write("intel.pem", tdxpki.PEM(v.world.Root))
	v.write("collateral.json", v.world.Collateral().Sign().File())
	v.policy(`collateral_file = "collateral.json"`)
	return v
}

// write makes a file and returns its path.
func (v *verification) write(name string, data []byte) string {
	v.t.Helper()
	path := filepath.Join(v.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		v.t.Fatal(err)
	}
	return path
}

// policy writes the file that verify applies.
func (v *verification) policy(lines ...string) {
	v.t.Helper()
	v.write("policy.toml", []byte("[attestation]\ninsecure_root_ca = \"intel.pem\"\n"+strings.Join(lines, "\n")+"\n"))
}

// args are those of a command that applies the policy.
func (v *verification) args(more ...string) []string {
	return append([]string{"verify", "--policy", filepath.Join(v.dir, "policy.toml")}, more...)
}

// verify runs the command in this process; errSaid is with a report that does not hold.
func (v *verification) verify(args ...string) (stdout string, err error) {
	v.t.Helper()
	root := newRoot()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs(v.args(args...))
	err = root.ExecuteContext(v.t.Context())
	return out.String(), err
}

// wantVerified checks that it is, and that the report has all of words.
func (v *verification) wantVerified(args []string, words ...string) {
	v.t.Helper()
	out, err := v.verify(args...)
	if err != nil || !strings.Contains(out, "\nVERIFIED: UpToDate, good until ") || strings.Contains(out, "✗") {
		v.t.Errorf("%q: %v\n%s", args, err, out)
	}
	v.wantWords(out, words)
}

// wantRefused checks that a report says so, and has all of words.
func (v *verification) wantRefused(args []string, words ...string) {
	v.t.Helper()
	out, err := v.verify(args...)
	if !errors.Is(err, errSaid) || !strings.Contains(out, "\nREFUSED") || !strings.Contains(out, "✗") || strings.Contains(out, "VERIFIED") {
		v.t.Errorf("%q: %v\n%s", args, err, out)
	}
	v.wantWords(out, words)
}

func (v *verification) wantWords(out string, words []string) {
	v.t.Helper()
	for _, w := range words {
		if !strings.Contains(out, w) {
			v.t.Errorf("%q is missing:\n%s", w, out)
		}
	}
}

// wantError checks that nothing is judged, for this reason.
func (v *verification) wantError(args []string, words string) {
	v.t.Helper()
	out, err := v.verify(args...)
	if err == nil || errors.Is(err, errSaid) || out != "" || !strings.Contains(err.Error(), words) {
		v.t.Errorf("%q: %v, want %q\n%s", args, err, words, out)
	}
}

// getQuoteOf is what a machine's guest agent answers.
func getQuoteOf(m *tdxpki.Machine, attested bool) []byte {
	doc := map[string]string{
		"quote": hex.EncodeToString(m.Quote), "event_log": string(m.Log.JSON()), "vm_config": m.Attestation.Config,
		"report_data": hex.EncodeToString(m.Attestation.ReportData[:]),
	}
	if attested {
		doc["attestation"] = hex.EncodeToString(m.Attestation.V1())
	}
	b, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return b
}
