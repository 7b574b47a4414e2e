package hello

import (
	"maps"
	"slices"
	"testing"
)

func BenchmarkParse(b *testing.B) {
	hellos := corpus(b)
	hellos["go"] = goHello(b, appName, "h2", "http/1.1")
	for _, client := range slices.Sorted(maps.Keys(hellos)) {
		stream := hellos[client]
		b.Run(client, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(stream)))
			for b.Loop() {
				var p Parser
				if done, err := p.Parse(stream); !done || err != nil {
					b.Fatal(done, err)
				}
			}
		})
	}
}

// The worst a client can do to us: the largest hello, a byte a read.
func BenchmarkByteByByte64KiB(b *testing.B) {
	stream := records(sized(maxBody))
	reads := everyByte(stream)
	b.ReportAllocs()
	b.SetBytes(int64(len(stream)))
	for b.Loop() {
		if _, done, err := parse(stream, reads...); !done || err != nil {
			b.Fatal(done, err)
		}
	}
}

// The most extensions that fit, each of its own type.
func BenchmarkMostExtensions(b *testing.B) {
	var c clientHello
	for kind := range uint16(16372) {
		c.extensions = append(c.extensions, extension{kind: 100 + kind})
	}
	stream := records(c.message())
	b.ReportAllocs()
	for b.Loop() {
		if _, done, err := parse(stream); !done || err != nil {
			b.Fatal(done, err)
		}
	}
}

func TestParseAllocatesOnlyToJoinRecords(t *testing.T) {
	stream := goHello(t, appName, "h2", "http/1.1")
	split := records(stream[recordHeader:], 500, 500)
	for _, c := range []struct {
		what  string
		reads [][]byte
		want  float64
	}{
		{"one record", [][]byte{stream}, 0},
		{"one record in three reads", [][]byte{stream[:1], stream[:1400], stream}, 0},
		{"three records in two reads", [][]byte{split[:700], split}, 1},
	} {
		if got := testing.AllocsPerRun(100, func() {
			var p Parser
			for i, read := range c.reads {
				if done, err := p.Parse(read); done != (i == len(c.reads)-1) || err != nil {
					t.Fatal(done, err)
				}
			}
		}); got != c.want {
			t.Errorf("%s: %v allocations, want %v", c.what, got, c.want)
		}
	}
}

func TestRefusalAllocatesNothing(t *testing.T) {
	twice := records(clientHello{extensions: []extension{{70, nil}, {70, nil}}}.message())
	for _, stream := range [][]byte{[]byte("GET / HTTP/1.1"), twice} {
		if got := testing.AllocsPerRun(100, func() {
			var p Parser
			if _, err := p.Parse(stream); err == nil {
				t.Fatal("accepted")
			}
		}); got != 0 {
			t.Errorf("%q: %v allocations", stream[:5], got)
		}
	}
}
