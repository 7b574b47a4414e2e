package registry

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"

	"sallyport/internal/vm"
)

// Every instance registers each three minutes, nearly always without a change. The limit
// is 50 µs, with evidence too: that of dstack guests has 10 kB.
func BenchmarkUnchangedRegistration(b *testing.B) {
	for _, size := range []int{0, 10_000} {
		b.Run(fmt.Sprintf("evidence=%d", size), func(b *testing.B) {
			g, all := filled(b, size)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if got, err := g.Register(b.Context(), all[i%len(all)]); err != nil || got.Changed {
					b.Fatal(got, err)
				}
			}
		})
	}
}

func BenchmarkUnchangedRegistrationParallel(b *testing.B) {
	g := newRig(b, nil)
	q := request("app", "one")
	g.register(b, q)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := g.Register(b.Context(), q); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// 10,000 instances must be back in less than 1 s: the file is opened and checked, and the
// records are read.
func BenchmarkLoad(b *testing.B) {
	for _, size := range []int{0, 10_000} {
		b.Run(fmt.Sprintf("evidence=%d", size), func(b *testing.B) {
			g, all := filled(b, size)
			b.ReportAllocs()
			for b.Loop() {
				g.restart(b)
			}
			if len(g.board.all()) != len(all) {
				b.Fatal("not all are back")
			}
		})
	}
}

// The cost of an appraisal besides Appraise itself.
func BenchmarkReattest(b *testing.B) {
	g, all := filled(b, 10_000)
	g.o.Appraise = func(context.Context, vm.InstanceID, vm.AppID, []byte) error { return nil }
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := g.reappraise(b.Context(), all[i%len(all)].Instance); err != nil {
			b.Fatal(err)
		}
	}
}

// New instances one after the other, and many at a time: those share a sync.
func BenchmarkNewRegistration(b *testing.B) {
	for _, parallel := range []int{1, 32} { // per CPU
		b.Run(fmt.Sprint(parallel), func(b *testing.B) {
			g := newRig(b, func(o *Options) {
				o.Network, o.Pool = netip.MustParsePrefix("10.0.0.1/8"), netip.MustParsePrefix("10.0.0.0/8")
			})
			var n atomic.Int64
			if parallel > 1 {
				b.SetParallelism(parallel)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						g.register(b, request("app", fmt.Sprintf("i%d", n.Add(1))))
					}
				})
				return
			}
			for b.Loop() {
				g.register(b, request("app", fmt.Sprintf("i%d", n.Add(1))))
			}
		})
	}
}

// filled is a registry with 10,000 instances, each with that many bytes of evidence, and
// their registrations.
func filled(b *testing.B, evidence int) (*rig, []Request) {
	b.Helper()
	g := newRig(b, nil)
	var all []Request
	for i := range 10_000 {
		q := request(fmt.Sprintf("a%039x", i/10), fmt.Sprintf("b%039x", i))
		q.Evidence = make([]byte, evidence)
		copy(q.Evidence, q.Instance)
		all = append(all, q)
	}
	fill(b, g, all)
	return g, all
}

// fill registers all, many at a time.
func fill(b *testing.B, g *rig, all []Request) {
	b.Helper()
	next := make(chan Request)
	errs := make(chan error)
	const parallel = 64
	for range parallel {
		go func() {
			var err error
			for q := range next {
				if _, e := g.Register(b.Context(), q); e != nil {
					err = e
				}
			}
			errs <- err
		}()
	}
	for _, q := range all {
		next <- q
	}
	close(next)
	for range parallel {
		if err := <-errs; err != nil {
			b.Fatal(err)
		}
	}
}
