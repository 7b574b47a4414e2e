package gateway

import "testing"

// With a tunnel that is not ready, healthy instances serve nobody.
func TestStatusTellsOfATunnelThatIsNotReady(t *testing.T) {
	s := newSite(t, "", shopOne)
	if err := s.open(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.g.Close() }() // the tunnel is closed by then
	if fault := s.g.Status().TunnelFault; fault != "" {
		t.Errorf("ready, and status says %q", fault)
	}
	if err := s.g.tunnel.Close(); err != nil {
		t.Fatal(err)
	}
	if s.g.Status().TunnelFault == "" {
		t.Error("status does not say that the tunnel is not ready")
	}
}
