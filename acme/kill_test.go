package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"sallyport/internal/gwtest"
	"sallyport/internal/gwtest/pebble"
)

// The child is this test binary: a gateway that kills itself (SIGKILL) at a point of
// its order, and, started again with the same store, is not killed.
const (
	killAt    = "ACME_TEST_KILL_AT" // such as "after put orders/ 2", "present 1", "never"
	killStore = "ACME_TEST_STORE"
	killCA    = "ACME_TEST_DIRECTORY"
)

func TestKilledOrderGoesOn(t *testing.T) {
	t.Parallel()
	ca := gwtest.NewCA(t)
	server := pebble.Start(t, pebble.Options{CA: ca, Env: []string{"PEBBLE_VA_ALWAYS_VALID=1"}})
	for _, point := range []string{
		"before put accounts/ 1", "before put accounts/ 2", "after put accounts/ 2", // no account, one that we do not know of, one
		"before put orders/ 1", "after put orders/ 1", "after put orders/ 2", // no key, a key, an order
		"present 1", "clean up 1", // pending, ready
		"before put certificates/ 1", "after put certificates/ 1", // issued, stored
	} {
		t.Run(point, func(t *testing.T) {
			dir := t.TempDir()
			ca.WriteRoot(t, filepath.Join(dir, "~root.pem"))
			accounts, orders, issued := server.Count("accounts in memory"), server.Count("Added order"), server.Count("Issued certificate")
			child := func(at string) error {
				cmd := exec.Command(os.Args[0], "-test.run=^TestKilledChild$", "-test.count=1")
				cmd.Env = append(os.Environ(), killAt+"="+at, killStore+"="+dir, killCA+"="+server.Directory)
				out, err := cmd.CombinedOutput()
				t.Logf("%s: %v\n%s", at, err, out)
				return err
			}
			var end *exec.ExitError
			if err := child(point); !errors.As(err, &end) || end.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("the first run was not killed: %v", err)
			}
			if err := child("never"); err != nil {
				t.Fatalf("the second run got no certificate: %v", err)
			}
			orders, issued = server.Count("Added order")-orders, server.Count("Issued certificate")-issued
			if accounts = server.Count("accounts in memory") - accounts; accounts != 1 || orders != 1 || issued != 1 {
				t.Errorf("%d accounts, %d orders, %d certificates: want one of each", accounts, orders, issued)
			}
		})
	}
}

// TestKilledChild is no test but the child of the one above.
func TestKilledChild(t *testing.T) {
	at, dir := os.Getenv(killAt), os.Getenv(killStore)
	if at == "" {
		t.Skip("runs as a child of TestKilledOrderGoesOn")
	}
	seen := map[string]int{}
	reach := func(point string) {
		wanted, n := at[:max(strings.LastIndex(at, " "), 0)], at[strings.LastIndex(at, " ")+1:]
		if wanted == "" || !strings.HasPrefix(point, wanted) {
			return
		}
		if seen[wanted]++; n == string(rune('0'+seen[wanted])) {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	root, err := os.ReadFile(filepath.Join(dir, "~root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	ctx, done := context.WithTimeout(t.Context(), 30*time.Second)
	defer done()
	m, err := New(Options{
		Domains: []Domain{{Name: "kill.test"}},
		CA:      Authority{Directory: os.Getenv(killCA), Roots: roots},
		Store: &fileStore{
			dir:    dir,
			locks:  map[string]lock{},
			before: func(key string) error { reach("before put " + key); return nil },
			after:  func(key string) { reach("after put " + key) },
		},
		DNS01:         reaching(reach),
		Log:           slog.New(slog.NewTextHandler(os.Stdout, nil)),
		OnCertificate: func(string, []string, *tls.Certificate) { done() },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Run(ctx); err != nil || ctx.Err() != context.Canceled {
		t.Fatalf("no certificate: %v, %v", err, ctx.Err())
	}
}

// reaching is a solver that only says where it is.
type reaching func(string)

func (r reaching) Present(context.Context, acme.Challenge) error { r("present"); return nil }
func (r reaching) CleanUp(context.Context, acme.Challenge) error { r("clean up"); return nil }
