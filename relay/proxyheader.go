package relay

import (
	"errors"
	"net/netip"

	"sallyport/internal/proxyproto"
)

// readProxyHeader takes the PROXY header off the stream, if the sender is one
// that must send it. Believing it from anybody else would let a client choose
// the address that limits and logs go by.
func (s *setup) readProxyHeader() Reason {
	if !s.l.engine.believes(s.client.Addr()) {
		return goOn
	}
	for {
		h, n, err := proxyproto.Parse(s.in.bytes())
		switch {
		case err == nil:
			s.in.off += n
			// A LOCAL header is the balancer's own health check: it carries no address.
			if !h.Local && h.Source.IsValid() {
				s.client = h.Source
			}
			return goOn
		case !errors.Is(err, proxyproto.ErrIncomplete):
			return BadProxyHeader
		}
		if r := s.more(); r != goOn {
			return r
		}
	}
}

// believes reports whether a PROXY header is required from addr.
func (e *Engine) believes(addr netip.Addr) bool {
	for _, p := range e.opts.ProxyProtocolFrom {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// appendProxyHeader appends the header that tells a backend who its client is.
func (s *setup) appendProxyHeader(b []byte) []byte {
	// Without an address of ours the header says UNSPEC, which a backend must accept.
	local, _ := boundTo(s.c.client.fd)
	return proxyproto.AppendV2(b, proxyproto.Header{
		Source:      s.client,
		Destination: netip.AddrPortFrom(local.Addr().Unmap(), local.Port()),
	})
}
