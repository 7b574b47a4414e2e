package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"sallyport/admin"
	"sallyport/internal/gwtest"
	"sallyport/ratls"
)

// wantOut waits until the machine is refused for a reason, and checks that its connections end.
func (v *served) wantOut(reason string) {
	v.t.Helper()
	v.until("the instance is refused: "+reason, refused(reason))
	if _, err := io.ReadFull(v.conn, make([]byte, 1)); err == nil {
		v.t.Error("its connection lives")
	}
	if _, err := v.connect(); err == nil {
		v.t.Error("a new connection is served")
	}
	if code, table, _ := gwtest.Outcome(v.t, "status", "--admin", v.admin); code != 1 || !strings.Contains(table, reason) {
		v.t.Errorf("gateway status: exit code %d,\n%s", code, table)
	}
}

func TestDenialOfTheWebhookTakesAMachineOut(t *testing.T) {
	var denies atomic.Bool
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if denies.Load() {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	t.Cleanup(hook.Close)
	s := newAttestedSite(t)
	s.base += fmt.Sprintf("[rpc.auth]\nurl = %q\ninterval = \"1s\"\n", hook.URL)
	s.attest()
	s.run()
	v := s.serveEcho()
	denies.Store(true)
	v.wantOut("authorization: registration is not authorized: the webhook answered with status 403")
}

func TestChangeOfClientCATakesItsMachinesOut(t *testing.T) {
	s := newAttestedSite(t)
	s.set("[rpc]", "proof_grace = \"3s\"")
	g := s.run()
	v := s.serveEcho()
	other, err := ratls.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	root, _, err := other.EncodePEM()
	if err != nil {
		t.Fatal(err)
	}
	s.write("pki/ca.pem", string(root))
	g.Reload()
	s.until("status tells from when it is refused", func(st *admin.Status) bool {
		return len(st.Instances) == 1 && (!st.Instances[0].RefusedFrom.IsZero() || refused("")(st))
	})
	v.wantOut("certificate: its root is not in force since ")
}
