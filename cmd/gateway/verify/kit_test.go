package verify

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

	"github.com/spf13/cobra"

	"sallyport/cmd/gateway/cli"
	"sallyport/internal/gwtest"
	"sallyport/internal/gwtest/tdxpki"
)

// TestMain lets the test binary be a gateway that has this command alone.
func TestMain(m *testing.M) {
	if gwtest.IsProgram() {
		os.Exit(cli.Main(newRoot(), os.Args[1:]))
	}
	m.Run()
}

func newRoot() *cobra.Command { return cli.Root(&cobra.Command{Use: "gateway"}, New()) }

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
	whole(v.t, path)
	return path
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

// policy writes the file that verify applies.
func (v *verification) policy(lines ...string) {
	v.t.Helper()
	v.write("policy.toml", []byte("[attestation]\ninsecure_root_ca = \"intel.pem\"\n"+strings.Join(lines, "\n")+"\n"))
}

// args are those of a command that applies the policy, and knows the world's systems.
func (v *verification) args(more ...string) []string {
	return append(v.unknown("--measurement", v.system(tdxpki.Guest{}), "--measurement", v.system(tdxpki.Guest{V5: true})), more...)
}

// unknown are args that know no system.
func (v *verification) unknown(more ...string) []string {
	return append([]string{"verify", "--policy", filepath.Join(v.dir, "policy.toml")}, more...)
}

// system is a guest's, for --measurement.
func (v *verification) system(g tdxpki.Guest) string { return v.world.System(g).Flag() }

// verify runs the command in this process; cli.ErrReported is with a report that does not hold.
func (v *verification) verify(args ...string) (stdout string, err error) {
	v.t.Helper()
	return v.command(v.args(args...)...)
}

// command is verify with these arguments alone.
func (v *verification) command(args ...string) (stdout string, err error) {
	v.t.Helper()
	root := newRoot()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs(args)
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
	if !errors.Is(err, cli.ErrReported) || !strings.Contains(out, "\nREFUSED") || !strings.Contains(out, "✗") || strings.Contains(out, "VERIFIED") {
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
	if err == nil || errors.Is(err, cli.ErrReported) || out != "" || !strings.Contains(err.Error(), words) {
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

func unhexed(text string) []byte {
	b, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return b
}
