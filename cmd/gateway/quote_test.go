package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/gwtest"
)

func TestMachineThatCannotQuoteDoesNotStart(t *testing.T) {
	const kernel = "/sys/kernel/config/tsm/report"
	if _, err := os.Stat(kernel); err == nil {
		t.Skipf("this machine can quote: it has %s", kernel)
	}
	file, socket := filepath.Join(t.TempDir(), "gateway.toml"), filepath.Join(t.TempDir(), "none.sock")
	text := fmt.Sprintf("[[domain]]\nname = \"gw.test\"\nratls = true\n[wireguard]\nmode = \"none\"\n[proxy]\nlisten = [\"127.0.0.1:0\"]\n"+
		"[store]\npath = \"store\"\n[admin]\nlisten = \"off\"\n[rpc]\ndstack_agent = %q\n", socket)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want := "[[domain]] gw.test: ratls needs a confidential VM: no quote source: this machine has no " + socket +
		", no " + kernel + "; mount the guest agent's socket, or give cert and key"
	for _, verb := range []string{"run", "check"} {
		code, stdout, stderr := gwtest.Outcome(t, verb, "--config", file)
		if code != 1 || !strings.Contains(stdout+stderr, want) {
			t.Errorf("%s: code %d\n%s%s\nwant %s", verb, code, stdout, stderr, want)
		}
	}
}
