package attester

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPlainMachineHasNoSource(t *testing.T) {
	dir := t.TempDir()
	o := Options{DstackSocket: filepath.Join(dir, "dstack.sock"), TSMRoot: filepath.Join(dir, "report")}
	a, err := Find(t.Context(), o)
	if a != nil || !errors.Is(err, ErrNoSource) || !strings.Contains(err.Error(), o.DstackSocket) || !strings.Contains(err.Error(), o.TSMRoot) {
		t.Errorf("%v, %v", a, err)
	}
}

func TestAgentIsPreferredToTheKernel(t *testing.T) {
	l := newLinux(t)
	socket := agent(t, nil)
	a, err := find(t.Context(), Options{DstackSocket: socket}, l.kernel())
	if err != nil || a.String() != "dstack guest agent at "+socket {
		t.Errorf("%v, %v", a, err)
	}
	a, err = find(t.Context(), Options{DstackSocket: socket + ".not"}, l.kernel())
	if err != nil || a.String() != "kernel, "+l.root {
		t.Errorf("%v, %v", a, err)
	}
}

func TestKernelThatCannotQuoteTDXIsNoSource(t *testing.T) {
	l := newLinux(t)
	l.provider = "sev_guest\n"
	a, err := find(t.Context(), Options{DstackSocket: "/nonexistent"}, l.kernel())
	if a != nil || !errors.Is(err, ErrNoSource) || !strings.Contains(err.Error(), `"sev_guest"`) {
		t.Errorf("%v, %v", a, err)
	}
	if left, err := os.ReadDir(l.root); err != nil || len(left) != 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// What is there and does not work is not taken for a plain machine.
func TestBrokenSourceIsAnErrorOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	for name, o := range map[string]Options{
		"a directory without the kernel in it": {DstackSocket: filepath.Join(dir, "not"), TSMRoot: dir},
		"a name that is too long":              {DstackSocket: filepath.Join(dir, strings.Repeat("x", 300))},
	} {
		if a, err := Find(t.Context(), o); a != nil || err == nil || errors.Is(err, ErrNoSource) {
			t.Errorf("%s: %v, %v", name, a, err)
		}
	}
}
