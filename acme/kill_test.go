package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
	killAt    = "ACME_TEST_KILL_AT" // such as "after put orders/ #2", "present #1", "never"
	killStore = "ACME_TEST_STORE"
	killCA    = "ACME_TEST_DIRECTORY"
)

func TestKilledOrderGoesOn(t *testing.T) {
	t.Parallel()
	ca := gwtest.NewCA(t)
	server := pebble.Start(t, pebble.Options{CA: ca, Env: []string{"PEBBLE_VA_ALWAYS_VALID=1"}})
	for _, point := range []string{
		"before put accounts/ #1", "before put accounts/ #2", "after put accounts/ #2", // no account, one that we do not know of, one
		"before put orders/ #1", "after put orders/ #1", "after put orders/ #2", // no key, a key, an order
		"present #1", "clean up #1", // pending, ready
		"before put certificates/ #1", "after put certificates/ #1", // issued, stored
	} {
		t.Run(point, func(t *testing.T) {
			dir := t.TempDir()
			ca.WriteRoot(t, filepath.Join(dir, "~root.pem"))
			accounts, orders, issued := server.Count("accounts in memory"), server.Count("Added order"), server.Count("Issued certificate")
			child := func(at string) (string, error) {
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), killAt+"="+at, killStore+"="+dir, killCA+"="+server.Directory)
				out, err := cmd.CombinedOutput()
				t.Logf("%s: %v\n%s", at, err, out)
				return string(out), err
			}
			var end *exec.ExitError
			if _, err := child(point); !errors.As(err, &end) || end.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("the first run was not killed: %v", err)
			}
			if out, err := child("never"); err != nil || !strings.Contains(out, obtained) {
				t.Fatalf("the second run got no certificate: %v", err)
			}
			orders, issued = server.Count("Added order")-orders, server.Count("Issued certificate")-issued
			if accounts = server.Count("accounts in memory") - accounts; accounts != 1 || orders != 1 || issued != 1 {
				t.Errorf("%d accounts, %d orders, %d certificates: want one of each", accounts, orders, issued)
			}
		})
	}
}

// TestMain runs the child instead of the tests where it is one.
func TestMain(m *testing.M) {
	if at := os.Getenv(killAt); at != "" {
		fmt.Println(obtainUntilKilled(at, os.Getenv(killStore), os.Getenv(killCA)))
		return
	}
	m.Run()
}

// obtained is what the child says when it has a certificate.
const obtained = "a certificate was obtained"

// obtainUntilKilled obtains a certificate, or kills its process at the point.
func obtainUntilKilled(at, dir, directory string) string {
	point, n, _ := strings.Cut(at, " #")
	seen := 0
	reach := func(here string) {
		if !strings.HasPrefix(here, point) {
			return
		}
		if seen++; strconv.Itoa(seen) == n {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	root, err := os.ReadFile(filepath.Join(dir, "~root.pem"))
	if err != nil {
		return err.Error()
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	ctx, done := context.WithTimeout(context.Background(), 30*time.Second)
	defer done()
	m, err := New(Options{
		Domains: []Domain{{Name: "kill.test"}},
		CA:      Authority{Directory: directory, Roots: roots},
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
		return err.Error()
	}
	if err := m.Run(ctx); err != nil || !errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Sprintf("no certificate: %v, %v", err, ctx.Err())
	}
	return obtained
}

// reaching is a solver that only says where it is.
type reaching func(string)

func (r reaching) Present(context.Context, acme.Challenge) error { r("present"); return nil }
func (r reaching) CleanUp(context.Context, acme.Challenge) error { r("clean up"); return nil }
