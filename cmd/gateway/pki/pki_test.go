package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"sallyport/cmd/gateway/cli"
	"sallyport/ratls"
)

const (
	testApp      = "deadbeef111111111111111111111111deadbeef"
	testInstance = "0123456789012345678901234567890123456789"
	testCompose  = "c143116fef3940e7f776bfc0919c256232ae5338a6e948c96b711e0b2383483a"
)

// run runs a command and returns what it printed.
func run(args ...string) (string, error) {
	var out strings.Builder
	cmd := New()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(append([]string{}, args...)) // of nil it makes the test's own
	err := cmd.Execute()
	return out.String(), err
}

func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	out, err := run(args...)
	if err != nil {
		t.Fatalf("pki %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// chainOf verifies an issued pair against the authority's file.
func chainOf(t *testing.T, dir, name string, usage x509.ExtKeyUsage) []*x509.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(name+".pem", name+".key")
	if err != nil {
		t.Fatal(err)
	}
	if len(pair.Certificate) != 3 {
		t.Fatalf("chain of %d, want certificate, app CA and root", len(pair.Certificate))
	}
	root, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := pem.Decode(root); string(b.Bytes) != string(pair.Certificate[2]) {
		t.Error("the chain does not end with ca.pem")
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	ca, err := x509.ParseCertificate(pair.Certificate[1])
	if err != nil {
		t.Fatal(err)
	}
	between.AddCert(ca)
	chains, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{usage}})
	if err != nil {
		t.Fatal(err)
	}
	return chains[0]
}

func TestPKIIssuesForAMachine(t *testing.T) {
	dir, vm := t.TempDir(), filepath.Join(t.TempDir(), "vm1")
	mustRun(t, "init", "--dir", dir)
	out := mustRun(t, "issue", "--dir", dir, "--out", vm, "--days", "10",
		"--app-id", testApp, "--instance-id", testInstance, "--compose-hash", testCompose)
	id, err := ratls.Identify(t.Context(), chainOf(t, dir, vm, x509.ExtKeyUsageClientAuth), ratls.Options{})
	if err != nil || id.AppID.String() != testApp || id.InstanceID.String() != testInstance || id.ComposeHash.String() != testCompose {
		t.Errorf("%+v, %v, want the ids that were given", id, err)
	}
	if !strings.Contains(out, "instance_id "+testInstance+"\n") {
		t.Errorf("printed %q, want the instance id", out)
	}
	for file, want := range map[string]fs.FileMode{
		filepath.Join(dir, "ca.key"): 0o600, filepath.Join(dir, "ca.pem"): 0o644, vm + ".key": 0o600, vm + ".pem": 0o644,
	} {
		if info, err := os.Stat(file); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v, want mode %v", file, info.Mode(), err, want)
		}
	}
}

func TestPKIMakesUpInstanceIDs(t *testing.T) {
	dir := t.TempDir()
	mustRun(t, "init", "--dir", dir)
	said := regexp.MustCompile(`instance_id ([0-9a-f]{40})\n`)
	seen := map[string]bool{}
	for _, name := range []string{"vm1", "vm2"} {
		m := said.FindStringSubmatch(mustRun(t, "issue", "--dir", dir, "--app-id", testApp, "--out", filepath.Join(dir, name)))
		if m == nil || seen[m[1]] {
			t.Fatalf("%s: instance id %v, want a new one", name, m)
		}
		seen[m[1]] = true
	}
}

func TestPKIIssuesForTheGateway(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "rpc")
	mustRun(t, "init", "--dir", dir)
	mustRun(t, "issue", "--server", "--dir", dir, "--out", out, "--app-id", testApp, "--name", "gw.example.com", "--name", "203.0.113.7")
	leaf := chainOf(t, dir, out, x509.ExtKeyUsageServerAuth)[0]
	for _, name := range []string{"gw.example.com", "203.0.113.7"} {
		if err := leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	e, err := ratls.ParseExtensions(leaf.Extensions) // guests look for the app id
	if err != nil || e.AppID.String() != testApp || e.AppInfo != nil {
		t.Errorf("%+v, %v, want app %s and no machine", e, err, testApp)
	}
}

func TestPKIOverwritesNothing(t *testing.T) {
	dir := t.TempDir()
	vm := filepath.Join(dir, "vm1")
	mustRun(t, "init", "--dir", dir)
	issue := []string{"issue", "--dir", dir, "--app-id", testApp, "--out", vm}
	mustRun(t, issue...)
	before := filesIn(t, dir)

	if _, err := run("init", "--dir", dir); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("init again: %v", err)
	}
	if _, err := run(issue...); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("issue again: %v", err)
	}
	if after := filesIn(t, dir); after != before {
		t.Errorf("files changed:\n%s\nwere\n%s", after, before)
	}

	// Half a pair is there: the other half is not left behind.
	if err := os.Remove(vm + ".key"); err != nil {
		t.Fatal(err)
	}
	before = filesIn(t, dir)
	if _, err := run(issue...); err == nil || filesIn(t, dir) != before {
		t.Errorf("issue over a certificate without a key: %v, files %s", err, filesIn(t, dir))
	}
}

// filesIn is all that is in a directory.
func filesIn(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(f.Name() + "\n" + string(data))
	}
	return all.String()
}

func TestPKIWrongUsage(t *testing.T) {
	issue := func(more ...string) []string {
		return append([]string{"issue", "--dir", "d", "--out", "o", "--app-id", testApp}, more...)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "a command is needed: init, issue"},
		{[]string{"init"}, "--dir is needed"},
		{[]string{"init", "--dir", "d", "more"}, "unknown command"},
		{[]string{"issue", "--dir", "d", "--out", "o"}, "--dir, --out and --app-id are needed"},
		{[]string{"issue", "--dir", "d", "--out", "o", "--app-id", "demo"}, "--app-id: app id: 4 characters, want 40 hex digits"},
		{issue("--instance-id", ""), "--instance-id: instance id: 0 characters, want 40 hex digits"},
		{issue("--compose-hash", "00"), "--compose-hash: hash: 2 characters, want 64 hex digits"},
		{issue("--days", "-1"), "--days -1: want 1 to 3660"},
		{issue("--days", "0"), "--days 0: want 1 to 3660"},
		{issue("--days", "3661"), "--days 3661: want 1 to 3660"},
		{issue("--server"), "--server needs --name"},
		{issue("--name", "gw.example.com"), "--name needs --server"},
		{issue("--server", "--name", "gw", "--instance-id", testInstance), "are for VMs"},
	} {
		_, err := run(c.args...)
		if usage := (cli.UsageError{}); !errors.As(err, &usage) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("pki %s: %v, want wrong usage: %s", strings.Join(c.args, " "), err, c.want)
		}
	}
}

func TestPKIRefusesABadAuthority(t *testing.T) {
	for why, c := range map[string]struct {
		spoil func(dir string) error
		want  string
	}{
		"none":       {func(dir string) error { return os.Remove(filepath.Join(dir, "ca.pem")) }, "make one with gateway pki init"},
		"no key":     {func(dir string) error { return os.Remove(filepath.Join(dir, "ca.key")) }, "ca.key: no such file"},
		"open key":   {func(dir string) error { return os.Chmod(filepath.Join(dir, "ca.key"), 0o640) }, "is open to others (mode 0640): run chmod 600"},
		"damaged":    {func(dir string) error { return os.WriteFile(filepath.Join(dir, "ca.key"), nil, 0o600) }, "authority's key: want one PEM block"},
		"not a name": {func(string) error { return nil }, `"gw:8000" is neither a host name nor an IP address`},
		"cut short":  {func(dir string) error { return os.Truncate(filepath.Join(dir, "ca.pem"), 100) }, "authority's certificate: want one PEM block"},
	} {
		dir := t.TempDir()
		mustRun(t, "init", "--dir", dir)
		if err := c.spoil(dir); err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(t.TempDir(), "rpc")
		_, err := run("issue", "--server", "--name", "gw:8000", "--dir", dir, "--out", out, "--app-id", testApp)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", why, err, c.want)
		}
		if _, err := os.Stat(out + ".key"); err == nil {
			t.Errorf("%s: wrote a key", why)
		}
	}
}

// Every command that the help shows works as it stands there.
func TestPKIHelpIsRight(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	ran := 0
	root := New()
	for _, name := range []string{"init", "issue"} {
		cmd, _, err := root.Find([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range helpCommands(cmd) {
			line = strings.ReplaceAll(line, "/etc/gateway/pki", filepath.Join(dir, "pki"))
			mustRun(t, strings.Fields(line)...)
			ran++
		}
	}
	if ran != 3 {
		t.Errorf("ran %d commands, want 3", ran)
	}
}

// helpCommands are the indented commands of a help text.
func helpCommands(cmd *cobra.Command) (commands []string) {
	text := strings.ReplaceAll(cmd.Long, "\\\n", " ")
	for line := range strings.SplitSeq(text, "\n") {
		if args, ok := strings.CutPrefix(line, "\tgateway pki "); ok {
			commands = append(commands, args)
		}
	}
	return commands
}
