// Package dnstest is a name server that only tests import. A [Server] answers for all
// zones whose records it has, follows aliases and wildcards among them like a resolver,
// and can be made to fail; [Serve] is for tests that write each answer themselves.
package dnstest

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// Server answers on one port of a loopback address by UDP and TCP, until the test
// ends. Its methods may be called concurrently.
type Server struct {
	Addr netip.AddrPort

	mu      sync.Mutex // guards what follows
	records []dns.RR
	edit    func(m *dns.Msg) bool
	asked   []string
}

// New starts a Server at address, which is host:port; with port 0 it takes a free
// one. Records are lines of a zone file.
func New(t testing.TB, address string, records ...string) *Server {
	t.Helper()
	s := &Server{}
	s.Add(records...)
	s.Addr = Serve(t, address, s.serve)
	return s
}

// Add adds records, lines of a zone file.
func (s *Server) Add(records ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			panic(err)
		}
		s.records = append(s.records, rr)
	}
}

// Remove removes a record, a line of a zone file.
func (s *Server) Remove(record string) {
	rr, err := dns.NewRR(record)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = slices.DeleteFunc(s.records, func(r dns.RR) bool { return dns.IsDuplicate(r, rr) })
}

// Texts are the values of the TXT records at name.
func (s *Server) Texts(name string) (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rr := range s.records {
		if txt, ok := rr.(*dns.TXT); ok && strings.EqualFold(txt.Hdr.Name, name) {
			list = append(list, strings.Join(txt.Txt, ""))
		}
	}
	slices.Sort(list)
	return list
}

// Edit makes f change each answer before it is sent; where it reports false, nothing
// is. f must not call the Server.
func (s *Server) Edit(f func(m *dns.Msg) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.edit = f
}

// Asked are the questions since it was last called, as "name TYPE".
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.asked
	s.asked = nil
	return list
}

func (s *Server) serve(w dns.ResponseWriter, q *dns.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := new(dns.Msg).SetReply(q)
	m.Authoritative = true
	m.SetEdns0(1232, false)
	s.asked = append(s.asked, q.Question[0].Name+" "+dns.TypeToString[q.Question[0].Qtype])
	s.answer(m)
	if s.edit != nil && !s.edit(m) {
		return
	}
	if w.LocalAddr().Network() == "udp" {
		m.Truncate(1232)
	}
	w.WriteMsg(m) //nolint:errcheck // a client may have left
}

// answer fills in the records, along at most 16 aliases.
func (s *Server) answer(m *dns.Msg) {
	name, qtype := dns.CanonicalName(m.Question[0].Name), m.Question[0].Qtype
	for range 16 {
		exists, next := false, ""
		for _, rr := range s.at(name) {
			exists = true
			c, alias := rr.(*dns.CNAME)
			if rr.Header().Rrtype == qtype || alias {
				m.Answer = append(m.Answer, rr)
			}
			if alias && qtype != dns.TypeCNAME {
				next = dns.CanonicalName(c.Target)
			}
		}
		if next == "" {
			if !exists {
				m.Rcode = dns.RcodeNameError
			}
			return
		}
		name = next
	}
}

// at are the records at name, or those of the wildcard beside it if there is nothing
// at or below name.
func (s *Server) at(name string) (list []dns.RR) {
	exists := false
	for _, rr := range s.records {
		owner := dns.CanonicalName(rr.Header().Name)
		exists = exists || dns.IsSubDomain(name, owner)
		if owner == name {
			list = append(list, rr)
		}
	}
	_, parent, _ := strings.Cut(name, ".")
	if exists || parent == "" {
		return list
	}
	for _, rr := range s.records {
		if dns.CanonicalName(rr.Header().Name) == "*."+parent {
			rr = dns.Copy(rr)
			rr.Header().Name = name
			list = append(list, rr)
		}
	}
	return list
}
