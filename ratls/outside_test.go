package ratls

import (
	"crypto/x509"
	"encoding/pem"
	"go/format"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sallyport/internal/gwtest/tdxpki"
)

// The module path has no domain, so programs elsewhere import this package by replace. Here
// is such a module: it verifies a peer, and refuses one of another KMS.
func TestModuleOutsideTheTreeVerifiesAPeer(t *testing.T) {
	module := t.TempDir()
	program, err := os.ReadFile("testdata/outside/main.go")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(module, "main.go"), program)
	write(t, filepath.Join(module, "doc", "main.go"), documentedProgram(t))
	requireByReplace(t, module)
	binary := filepath.Join(module, "outside.bin")
	run(t, module, "go", "build", "-o", binary, ".")
	run(t, module, "go", "vet", "./...")

	w := newWorld(t)
	kms, stranger := newAuthority(t), newAuthority(t)
	ca, key, err := kms.appCA(wantAccepted(t, w.verifier(t, nil), w.evidence(t, tdxpki.Guest{})).AppInfo.AppID)
	if err != nil {
		t.Fatal(err)
	}
	shown := w.Guest(tdxpki.Guest{CA: ca, CAKey: key, Above: []*x509.Certificate{kms.Root()}, WithAppInfo: true}).Certificate
	url := site(t, shown, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("verified")) }))
	for name, c := range map[string]struct {
		root *x509.Certificate
		want string
	}{
		"the KMS":     {kms.Root(), "verified"},
		"another KMS": {stranger.Root(), "attested peer: x509: certificate signed by unknown authority"},
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "root.pem"), encode(w.Root.Cert()))
		write(t, filepath.Join(dir, "collateral.json"), w.Collateral().Sign().File())
		write(t, filepath.Join(dir, "kms.pem"), encode(c.root))
		out, err := exec.CommandContext(t.Context(), binary, url, filepath.Join(dir, "root.pem"),
			filepath.Join(dir, "collateral.json"), filepath.Join(dir, "kms.pem"), w.now().Format(time.RFC3339)).CombinedOutput()
		if (err == nil) != (c.want == "verified") || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: %v: %s, want %q", name, err, out, c.want)
		}
	}
}

// documentedProgram is the program at the beginning of the package's documentation, made
// complete.
func documentedProgram(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var body []string
	for line := range strings.Lines(string(text)) {
		if code, ok := strings.CutPrefix(line, "//\t"); ok {
			body = append(body, code)
		}
	}
	if len(body) < 8 {
		t.Fatalf("doc.go has %d lines of a program", len(body))
	}
	source, err := format.Source([]byte(`package main

import ("crypto/x509"; "os"; "sallyport/ratls"; "sallyport/ratls/pccs")

func main() {
` + strings.Join(body, "") + `
_ = answer.Body.Close()
}

func check(err error) { if err != nil { panic(err) } }
`))
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// requireByReplace writes the go.mod and go.sum of a module beside this one.
func requireByReplace(t *testing.T, dir string) {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	text := "module example.com/outside\n\nrequire sallyport v0.0.0\n\nreplace sallyport => " + root + "\n"
	for _, pattern := range []string{`(?m)^go .*$`, `golang\.org/x/crypto v\S+`, `golang\.org/x/sys v\S+`} {
		found := regexp.MustCompile(pattern).Find(mod)
		if found == nil {
			t.Fatalf("go.mod has no %s", pattern)
		}
		if !strings.HasPrefix(string(found), "go ") {
			found = append([]byte("require "), found...)
		}
		text += "\n" + string(found) + "\n"
	}
	write(t, filepath.Join(dir, "go.mod"), []byte(text))
	write(t, filepath.Join(dir, "go.sum"), sums)
}

// run runs a command in a directory. It fetches nothing.
func run(t *testing.T, dir string, command ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, out)
	}
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func encode(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
