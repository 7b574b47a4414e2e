package nameserver

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// manyNames is a query for q with a HIP record that has a list of names as long as a
// query allows, each a pointer to one of 250 bytes. To unpack it takes 4 ms and 2 MB.
func manyNames(t testing.TB, q *dns.Msg) []byte {
	t.Helper()
	b, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	binary.BigEndian.PutUint16(b[10:], 1)
	data := []byte{1, 1, 0, 1, 'x', 'x'} // a tag and a key of one byte
	at := uint16(len(b) + 11 + len(data))
	data = append(data, strings.Repeat("\x18"+strings.Repeat("\x01", 24), 10)+"\x00"...)
	for maxQuery-len(b)-11-len(data) >= 2 {
		data = binary.BigEndian.AppendUint16(data, 0xC000|at)
	}
	record := binary.BigEndian.AppendUint16([]byte{0, 0, byte(dns.TypeHIP), 0, 1, 0, 0, 0, 0}, uint16(len(data)))
	return slices.Concat(b, record, data)
}

func TestDataOfRecordsInAQueryIsNotUnpacked(t *testing.T) {
	s := both(t)
	plain := question("app.gw.example.", dns.TypeA)
	query := manyNames(t, plain)
	if m := new(dns.Msg); m.Unpack(query) != nil || len(m.Extra) != 1 || len(m.Extra[0].(*dns.HIP).RendezvousServers) < 1000 {
		t.Fatalf("the query is not what it should be: %v", m)
	}
	if r := askWire(t, s, udp, query); len(r.Answer) != 2 {
		t.Errorf("%v", r)
	}
	if n := testing.AllocsPerRun(10, func() { s.reply(udp, netip.Addr{}, query, nil) }); n > 40 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever a query asks for, one core answers 10,000 a second. Time is not measured here:
// what costs it, allocations, is.
func TestNamesOfManyLabelsCostLittle(t *testing.T) {
	s := both(t)
	for _, qtype := range []uint16{dns.TypeA, dns.TypeMX, dns.TypeANY, dns.TypeTXT} {
		for _, name := range []string{strings.Repeat("a.", 121) + "gw.example.", strings.Repeat(`\001.`, 121) + "gw.example.", strings.Repeat("a.", 126)} {
			query, err := question(name, qtype).SetEdns0(maxUDP, false).Pack()
			if err != nil {
				t.Fatal(err)
			}
			if b := s.reply(udp, netip.Addr{}, query, nil); len(b) < len(query) {
				t.Errorf("%.8s…: %d bytes for %d", name, len(b), len(query))
			}
			out := make([]byte, maxTCP)
			if n := allocated(func() { s.reply(udp, netip.Addr{}, query, out) }); n > 6<<10 {
				t.Errorf("%.8s…: %d bytes are allocated", name, n)
			}
		}
	}
}

// allocated returns the bytes that f allocates, on average.
func allocated(f func()) uint64 {
	const runs = 100
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / runs
}

// A pointer into the header is the only one that a question could have. An answer that
// writes its name out would be longer than the query.
func TestCompressedQuestionIsRefused(t *testing.T) {
	s := both(t)
	header := packed(t, func(*dns.Msg) {})[:headerSize]
	header[0], header[1], header[2] = 1, 'x', 0 // a label; the flags, zero, end the name
	query := slices.Concat(header, []byte("\x02ab\xc0\x00\x00\x06\x00\x01"))
	if name, _, err := dns.UnpackDomainName(query, headerSize); err != nil || name != "ab.x." {
		t.Fatalf("%q, %v", name, err)
	}
	b := s.reply(udp, netip.Addr{}, query, nil)
	if !bytes.Equal(b[:2], query[:2]) || len(b) != headerSize || b[3]&0xF != dns.RcodeFormatError {
		t.Errorf("answer %x", b)
	}
}
