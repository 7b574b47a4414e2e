package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/gwtest"
)

func TestAttacksAreMeasuredKeptAndRenderedAgain(t *testing.T) {
	if why := gwtest.Missing(); why != "" {
		t.Skip(why)
	}
	dir := t.TempDir()
	code, table, errs := gwtest.Outcome(t, "hostile", "--gateway", gateway(t), "--only", "refused", "--quick", "--duration", "200ms", "--out", dir)
	if code != exitDone {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	for _, want := range []string{"| clients that are refused |", "--workload=refused", "A first look", "--only=refused"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	file := filepath.Join(dir, "hostile.md")
	kept, err := os.ReadFile(file)
	if err != nil || string(kept) != table {
		t.Errorf("%v: the file has another table than was printed", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if code, again, errs := gwtest.Outcome(t, "report", filepath.Join(dir, "hostile.json")); code != exitDone || again != table {
		t.Errorf("report: exit code %d, %s\n%s", code, errs, again)
	}
	if again, err := os.ReadFile(file); err != nil || string(again) != table {
		t.Errorf("%v: report writes another table", err)
	}
	code, _, errs = gwtest.Outcome(t, "hostile", "--gateway", gateway(t), "--only", "nothing")
	if code != exitUsage || !strings.Contains(errs, "want one of") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}
