package relay

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net/netip"

	"sallyport/internal/nonblock"
	"sallyport/internal/proxyproto"
)

// readProxyHeader takes the PROXY header off the stream, if the sender is one
// that must send it. Believing it from anybody else would let a client choose
// the address that limits and logs go by.
func (s *setup) readProxyHeader() Reason {
	if !s.c.marks.has(ofBalancer) {
		return goOn
	}
	for {
		h, n, err := proxyproto.Parse(s.in.Bytes())
		switch {
		case err == nil:
			s.noteProxyHeader(h)
			s.in.Skip(n)
			return s.c.admitSource()
		case !errors.Is(err, proxyproto.ErrIncomplete):
			return BadProxyHeader
		}
		if r := s.more(); r != goOn {
			return r
		}
	}
}

// noteProxyHeader keeps what the header says. A LOCAL one is the balancer's own
// health check: it carries no address.
func (s *setup) noteProxyHeader(h proxyproto.Header) {
	if h.Local || !h.Source.IsValid() {
		return
	}
	s.c.addr, s.server = h.Source, h.Destination
	s.c.marks.clear(ofBalancer)
	for kind, value := range h.TLVs.All() {
		s.passOn(kind, bytes.Clone(value)) // the list is a view on the stream
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

// passOn keeps an extension that came with the inbound header for the outbound
// one. Those that the gateway sets itself are not passed on, nor is what belongs to the
// other header's form; one that finds no room is left out.
func (s *setup) passOn(kind proxyproto.Type, value []byte) {
	switch kind {
	case proxyproto.TypeAuthority, proxyproto.TypeALPN, proxyproto.TypeSSL, proxyproto.TypeCRC32C, proxyproto.TypeNoop:
	default:
		_ = s.tlvs.Add(kind, value)
	}
}

// maxShort is the longest header that every reader of version 2 takes: nginx before
// 1.23 looks at the first 107 bytes, as many as a header of version 1 can have, and
// resets the connection if they are not the whole.
const maxShort = 107

// proxyHeader is the header that describes the client to a backend: the addresses,
// and the name it asked for where that leaves it short; or all that is known, if the
// decision asks for it. It is sent in one piece, for readers that look once.
func (s *setup) proxyHeader() []byte {
	if !s.server.IsValid() {
		// Without an address of ours the header says UNSPEC, and the backend goes by the
		// connection's own.
		local, _ := nonblock.Addr(s.c.client.fd)
		s.server = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	}
	h := proxyproto.Header{Source: s.c.addr, Destination: s.server}
	if s.decision.ProxyTLVs {
		h.TLVs = s.allExtensions()
		return proxyproto.AppendV2(nil, h)
	}
	bare := proxyproto.AppendV2(make([]byte, 0, maxShort), h)
	_ = h.TLVs.Add(proxyproto.TypeAuthority, s.serverName) // there is room: it is a name
	if named := proxyproto.AppendV2(nil, h); len(named) <= maxShort {
		return named
	}
	return bare
}

// allExtensions are those that came with the inbound header, the name that the client
// asked for, a unique id, and what TLS was if it has ended here.
func (s *setup) allExtensions() proxyproto.TLVs {
	tlvs := s.tlvs
	add := func(kind proxyproto.Type, value []byte) { _ = tlvs.Add(kind, value) } // there is room: see passOn
	add(proxyproto.TypeAuthority, s.serverName)
	if _, ok := tlvs.Get(proxyproto.TypeUniqueID); !ok {
		id := make([]byte, 16)
		_, _ = rand.Read(id) // it never fails
		add(proxyproto.TypeUniqueID, id)
	}
	if s.c.tls != nil {
		state := s.c.tls.conn.ConnectionState()
		if state.NegotiatedProtocol != "" {
			add(proxyproto.TypeALPN, []byte(state.NegotiatedProtocol))
		}
		add(proxyproto.TypeSSL, sslExtension(state.Version))
	}
	return tlvs
}

// sslExtension is PP2_TYPE_SSL (2.2.6 of the specification): the client used TLS,
// showed no certificate, and which version.
func sslExtension(version uint16) []byte {
	name := map[uint16]string{tls.VersionTLS12: "TLSv1.2", tls.VersionTLS13: "TLSv1.3"}[version]
	const clientSSL, notVerified = 0x01, 1
	b := append([]byte{clientSSL}, 0, 0, 0, notVerified)
	b = append(b, byte(proxyproto.TypeSSLVersion))
	b = binary.BigEndian.AppendUint16(b, uint16(len(name)))
	return append(b, name...)
}
