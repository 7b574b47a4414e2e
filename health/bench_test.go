package health

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"sallyport/internal/vm"
)

func manySpecs(n int) []vm.Spec {
	specs := make([]vm.Spec, n)
	for i := range specs {
		specs[i] = vm.Spec{
			ID:     vm.InstanceID(fmt.Sprintf("i%039d", i)),
			App:    vm.AppID(fmt.Sprintf("a%039d", i/10)),
			Key:    vm.WGKey{byte(i), byte(i >> 8), byte(i >> 16), 1},
			Addr:   netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}),
			Policy: vm.OpenPolicy(),
		}
	}
	return specs
}

func handshakes(specs []vm.Spec, at time.Time) map[vm.WGKey]time.Time {
	dump := make(map[vm.WGKey]time.Time, len(specs))
	for _, s := range specs {
		dump[s.Key] = at
	}
	return dump
}

// One dump of the handshakes, of which every part-th is new. With one dump in 5 s
// and a handshake in 2 min it is every 24th.
func BenchmarkDump(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		for _, part := range []int{24, 1} {
			b.Run(fmt.Sprintf("instances=%d/new=1of%d", n, part), func(b *testing.B) {
				specs := manySpecs(n)
				m := New(Options{
					Handshakes: func(context.Context) (map[vm.WGKey]time.Time, error) { return nil, nil },
					Log:        slog.New(slog.DiscardHandler),
				})
				m.Upsert(specs...)
				start := time.Now()
				dump := handshakes(specs, start)
				m.takeHandshakes(dump, start)
				b.ReportAllocs()
				for i := 1; b.Loop(); i++ {
					b.StopTimer()
					now := start.Add(time.Duration(i) * time.Millisecond)
					for at := i % part; at < n; at += part {
						dump[specs[at].Key] = now
					}
					b.StartTimer()
					m.takeHandshakes(dump, now)
				}
			})
		}
	}
}

// One instance of 100,000 fails its dials and comes back.
func BenchmarkEjection(b *testing.B) {
	m := New(Options{Log: slog.New(slog.DiscardHandler)})
	specs := manySpecs(100_000)
	m.Upsert(specs...)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		_, inst := m.Snapshot().Lookup([]byte(specs[i%len(specs)].ID))
		inst.Live.Dialled(80, true)
		for range maxFailures {
			inst.Live.Dialled(80, false)
		}
		m.reviewDialled(<-m.dialled)
		inst.Live.Dialled(80, true)
		m.reviewDialled(<-m.dialled)
	}
}
