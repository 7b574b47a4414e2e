package router

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"sallyport/internal/vm"
)

// The names lie one after the other in the order of their use, in place of the
// receive buffer, which is in the cache when a hello was just read.

func BenchmarkRoute(b *testing.B) {
	for _, size := range []struct{ apps, each int }{{10, 10}, {10_000, 10}} {
		s := manyApps(size.apps, size.each)
		r := New(Options{Domains: []string{domain}, Snapshot: func() *vm.Snapshot { return s }})
		for _, kind := range []struct {
			name string
			next func(i int) string
		}{
			{"app", func(int) string { return hexID("app", rand.IntN(size.apps)) }},
			{"instance", func(int) string { return hexID("instance", rand.IntN(size.apps*size.each)) }},
			{"unknown", func(i int) string { return hexID("unknown", i) }},
		} {
			b.Run(fmt.Sprintf("%s/apps=%d", kind.name, size.apps), func(b *testing.B) {
				var names [1 << 14][40 + len("-8080."+domain)]byte
				for i := range names {
					copy(names[i][:], kind.next(i)+"-8080."+domain)
				}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					d := r.Route(names[i%len(names)][:])
					if d.Refusal != None && d.Refusal != UnknownApp {
						b.Fatal(d.Refusal)
					}
				}
			})
		}
	}
}

const domain = "gw.example.com"

func hexID(kind string, i int) string {
	sum := sha256.Sum256(fmt.Append(nil, kind, i))
	return hex.EncodeToString(sum[:20])
}

func manyApps(apps, each int) *vm.Snapshot {
	b := vm.NewBuilder(0)
	for i := range apps * each {
		b.Put(&vm.Instance{
			Spec: vm.Spec{
				ID:     vm.InstanceID(hexID("instance", i)),
				App:    vm.AppID(hexID("app", i%apps)),
				Addr:   netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}),
				Policy: vm.OpenPolicy(),
			},
			Health: vm.Fresh,
			Weight: 100,
			Live:   new(vm.Live),
		})
	}
	return b.Snapshot()
}
