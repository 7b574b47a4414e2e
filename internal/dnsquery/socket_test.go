package dnsquery

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"sallyport/internal/gwtest/dnstest"

	"github.com/miekg/dns"
)

// answer answers q truly.
func answer(q *dns.Msg, text string) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	m.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{text}}}
	return m
}

// forge makes what looks like an answer to q, changed.
func forge(q *dns.Msg, change func(*dns.Msg)) []byte {
	m := answer(q, "forged")
	change(m)
	return pack(m)
}

func pack(m *dns.Msg) []byte {
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

// forgeries make what is no answer to q, however alike.
func forgeries() map[string]func(q *dns.Msg) []byte {
	return map[string]func(q *dns.Msg) []byte{
		"garbage":       func(*dns.Msg) []byte { return []byte("\xff\xff\xff") },
		"nothing":       func(*dns.Msg) []byte { return nil },
		"another id":    func(q *dns.Msg) []byte { return forge(q, func(m *dns.Msg) { m.Id++ }) },
		"a question":    func(q *dns.Msg) []byte { return forge(q, func(m *dns.Msg) { m.Response = false }) },
		"a notify":      func(q *dns.Msg) []byte { return forge(q, func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }) },
		"another name":  func(q *dns.Msg) []byte { return forge(q, func(m *dns.Msg) { m.Question[0].Name = "other.example." }) },
		"another type":  func(q *dns.Msg) []byte { return forge(q, func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeA }) },
		"another class": func(q *dns.Msg) []byte { return forge(q, func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }) },
		"no question":   func(q *dns.Msg) []byte { return forge(q, func(m *dns.Msg) { m.Question = nil }) },
		"two questions": func(q *dns.Msg) []byte {
			return forge(q, func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) })
		},
		"cut in a record": func(q *dns.Msg) []byte { b := forge(q, func(*dns.Msg) {}); return b[:len(b)-1] },
	}
}

// serve answers each query with messages, by UDP and TCP.
func serve(t *testing.T, messages func(q *dns.Msg) [][]byte) netip.AddrPort {
	t.Helper()
	return dnstest.Serve(t, "127.0.0.1:0", func(w dns.ResponseWriter, q *dns.Msg) {
		for _, b := range messages(q) {
			w.Write(b) //nolint:errcheck // who has enough of them has left
		}
	})
}

func TestForgedDatagramsAreIgnored(t *testing.T) {
	list := forgeries()
	list["too large"] = func(q *dns.Msg) []byte {
		return append(forge(q, func(*dns.Msg) {}), make([]byte, maxDatagram)...)
	}
	for name, forged := range list {
		t.Run(name, func(t *testing.T) {
			server := serve(t, func(q *dns.Msg) [][]byte { return [][]byte{forged(q), forged(q), pack(answer(q, "true"))} })
			m, err := ExchangeUDP(t.Context(), server, NewQuery("NAME.example", dns.TypeTXT))
			if err != nil {
				t.Fatal(err)
			}
			if got := Records[*dns.TXT](m, "name.example"); len(got) != 1 || got[0].Txt[0] != "true" {
				t.Errorf("got %v", got)
			}
			alone := serve(t, func(q *dns.Msg) [][]byte { return [][]byte{forged(q)} })
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if m, err := ExchangeUDP(ctx, alone, NewQuery("name.example", dns.TypeTXT)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("without the true one: %v, %v; want silence", m, err)
			}
		})
	}
}

func TestForgedStreamIsRefused(t *testing.T) {
	list := forgeries()
	list["truncated"] = func(q *dns.Msg) []byte { return forge(q, func(m *dns.Msg) { m.Truncated = true }) }
	for name, forged := range list {
		server := serve(t, func(q *dns.Msg) [][]byte { return [][]byte{forged(q)} })
		if m, err := ExchangeTCP(t.Context(), server, NewQuery("name.example", dns.TypeTXT), dns.MaxMsgSize); !errors.Is(err, errWrong) {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
}

func TestStrayDatagramsAreBounded(t *testing.T) {
	for strays, want := range map[int]error{maxStray - 1: nil, maxStray: errStray} {
		server := serve(t, func(q *dns.Msg) (list [][]byte) {
			for range strays {
				list = append(list, forge(q, func(m *dns.Msg) { m.Id++ }))
			}
			return append(list, pack(answer(q, "true")))
		})
		if m, err := ExchangeUDP(t.Context(), server, NewQuery("name.example", dns.TypeTXT)); !errors.Is(err, want) {
			t.Errorf("%d: %v, %v", strays, m, err)
		}
	}
}

func TestRefusalNeedsNoQuestion(t *testing.T) {
	server := serve(t, func(q *dns.Msg) [][]byte {
		return [][]byte{pack(&dns.Msg{MsgHdr: dns.MsgHdr{Id: q.Id, Response: true, Rcode: dns.RcodeRefused}})}
	})
	if m, err := ExchangeUDP(t.Context(), server, NewQuery("name.example", dns.TypeTXT)); err != nil || m.Rcode != dns.RcodeRefused {
		t.Errorf("%v, %v", m, err)
	}
}

func TestAnswerByTCPHasItsLimit(t *testing.T) {
	q := NewQuery("name.example", dns.TypeTXT)
	size := answer(q, "value").Len()
	server := serve(t, func(q *dns.Msg) [][]byte { return [][]byte{pack(answer(q, "value"))} })
	for limit, want := range map[int]error{size: nil, size - 1: ErrLarge} {
		if m, err := ExchangeTCP(t.Context(), server, q, limit); !errors.Is(err, want) {
			t.Errorf("%d bytes, %d allowed: %v, %v", size, limit, m, err)
		}
	}
}

// A server that says nothing must not hold up who wants to end.
func TestSocketsAreInterrupted(t *testing.T) {
	for network, exchange := range map[string]func(context.Context, netip.AddrPort, *dns.Msg) (*dns.Msg, error){
		"udp": ExchangeUDP,
		"tcp": func(ctx context.Context, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
			return ExchangeTCP(ctx, server, q, dns.MaxMsgSize)
		},
	} {
		asked := make(chan struct{})
		silent := dnstest.Serve(t, "127.0.0.1:0", func(dns.ResponseWriter, *dns.Msg) { close(asked) })
		ctx, cancel := context.WithCancel(t.Context()) // without a deadline
		go func() { <-asked; cancel() }()
		if m, err := exchange(ctx, silent, NewQuery("name.example", dns.TypeTXT)); err == nil {
			t.Errorf("%s: %v", network, m)
		}
	}
}

// Whatever a server sends, reading it ends without a panic, and is to the question.
func FuzzAnswer(f *testing.F) {
	q := NewQuery("name.example", dns.TypeTXT)
	q.Id = 1
	good, err := answer(q, "value").Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Fuzz(func(t *testing.T, b []byte) {
		m := new(dns.Msg)
		if !readable(m, b) || !answers(m, q) {
			return
		}
		if m.Id != q.Id || !m.Response {
			t.Errorf("%v is taken for an answer", m)
		}
		Alias(m, "name.example.")
		Records[*dns.TXT](m, "name.example.")
	})
}

func TestPanicWhileUnpackingMakesAnAnswerUnreadable(t *testing.T) {
	if readable(nil, make([]byte, 12)) {
		t.Error("it is readable")
	}
}
