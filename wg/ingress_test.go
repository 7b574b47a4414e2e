package wg

import (
	"testing"
	"time"
)

// A gateway was killed, and then the firewall was reloaded: no rules are left.
func TestInterfaceWithoutRulesAndGatewayStaysClosed(t *testing.T) {
	onKernel(t)
	s := hostileSiteOf(t, (*site).open)
	must(t, s.device.backend.(*tunnel).isolation.Remove())
	for what, at := range victims(s) {
		if c, err := s.guests[0].dial(at, 500*time.Millisecond); err == nil {
			c.Close()
			t.Errorf("guest reached %s", what)
		}
	}
	for _, g := range s.guests {
		c, err := s.gateway.dial(g.echo(g.address.String()+":0"), patience)
		must(t, err)
		mustEcho(t, c)
	}
}
