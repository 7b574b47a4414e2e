package main

import (
	"strings"
	"syscall"
	"testing"

	"sallyport/internal/gwtest"
)

// Domains come and go by SIGHUP; how their certificates are got does not change by it,
// and the operator is told.
func testChangedSection(t *testing.T, w *acmeWorld) {
	s := w.newEmbedded(t, "section.test", "")
	domain := issued("section.test")
	cmd := gwtest.Program(t, "run", "--config", s.path("gateway.toml"))
	var log gwtest.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	s.certified("*.section.test", "")
	for i, section := range []string{"", "email = \"admin@section.test\"\n"} {
		s.configure(domain, s.embedded()+section)
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		gwtest.Await(t, "the file is read", func() bool { return strings.Count(log.String(), `msg="configuration read"`) == i+1 })
		warned := strings.Contains(log.String(), "takes effect after a restart; until then the previous values stay in force\" sections=[acme]")
		if warned != (section != "") {
			t.Errorf("with %q in the section the log says\n%s", section, log.String())
		}
	}
}
