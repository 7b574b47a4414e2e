package pccs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls/tdx"

	"github.com/google/go-cmp/cmp"
)

// The sample of dcap-qvl is Intel's, and verifies below Intel's root.
func TestFileOfDcapQvlIsRead(t *testing.T) {
	const name = "../../../shared/fixtures/dcap-qvl/tdx_quote_outdated_collateral.json"
	if _, err := os.Stat(name); err != nil {
		t.Skip("the fixtures are not here: ", err)
	}
	f, err := File(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Platform{[6]byte{0x90, 0xc0, 0x6f}, tdx.Platform}
	if f.Platform() != want {
		t.Errorf("it is for %s", f.Platform())
	}
	p, err := f.Prepared(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	from, until := p.Window()
	const text = "2026-02-18T10:58:51Z 2026-03-20T10:41:15Z" // TCB info is the last to begin, the PCK CRL the first to end
	if got := from.Format("2006-01-02T15:04:05Z07:00") + " " + until.Format("2006-01-02T15:04:05Z07:00"); got != text {
		t.Errorf("%s, want %s", got, text)
	}
}

func TestFixedCollateralIsForOnePlatform(t *testing.T) {
	w := newWorld(tdxpki.Dialect{})
	f, err := NewFixed(w.documents(), w.pki.Root.Cert())
	if err != nil {
		t.Fatal(err)
	}
	docs, err := f.Collateral(t.Context(), w.platform)
	if diff := cmp.Diff(w.documents(), docs); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := f.Prepared(t.Context(), w.platform); err != nil {
		t.Error(err)
	}
	for _, p := range []Platform{{}, {w.platform.FMSPC, tdx.Processor}, {[6]byte{1}, tdx.Platform}} {
		if _, err := f.Collateral(t.Context(), p); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v", p, err)
		}
		if _, err := f.Prepared(t.Context(), p); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func TestFixedCollateralThatDoesNotVerifyIsNotPrepared(t *testing.T) {
	w := newWorld(tdxpki.Dialect{})
	f, err := NewFixed(w.documents(), nil) // below Intel's root
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Collateral(t.Context(), w.platform); err != nil {
		t.Error(err)
	}
	if p, err := f.Prepared(t.Context(), w.platform); err == nil || p != nil || errors.Is(err, ErrUnavailable) {
		t.Errorf("%v, %v", p, err)
	}
}

func TestFileThatIsNoCollateralIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "collateral.json")
	if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, file + ".not", filepath.Dir(file), "/dev/zero"} {
		if _, err := File(name, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
