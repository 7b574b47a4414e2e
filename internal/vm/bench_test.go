package vm

import (
	"fmt"
	"testing"
)

func manyApps(apps, each int) (*Builder, []*Instance) {
	b := NewBuilder(0)
	all := make([]*Instance, apps*each)
	for i := range all {
		all[i] = instance(AppID(fmt.Sprintf("app%037d", i%apps)), InstanceID(fmt.Sprintf("inst%036d", i)))
		b.Put(all[i])
	}
	b.Snapshot()
	return b, all
}

// A few instances of 100,000 change their health.
func BenchmarkHealthChange(b *testing.B) {
	for _, changes := range []int{1, 10, 1000} {
		b.Run(fmt.Sprint(changes), func(b *testing.B) {
			builder, all := manyApps(10_000, 10)
			b.ReportAllocs()
			for i := 0; b.Loop(); i += changes {
				for n := range changes {
					next := *all[(i+n)*7919%len(all)]
					builder.Put(&next)
				}
				builder.Snapshot()
			}
		})
	}
}

// One instance of 100,000 goes and another one comes.
func BenchmarkRegistration(b *testing.B) {
	builder, all := manyApps(10_000, 10)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		gone := *all[i%len(all)]
		builder.Remove(gone.ID)
		builder.Put(&gone)
		builder.Snapshot()
	}
}

func BenchmarkBuild(b *testing.B) {
	for b.Loop() {
		manyApps(10_000, 10)
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	b := NewBuilder(0)
	b.Put(instance("a", "x"))
	s := b.Snapshot()
	names := [][]byte{[]byte("a"), []byte("x"), []byte("nobody")}
	if n := testing.AllocsPerRun(100, func() {
		for _, name := range names {
			s.Lookup(name)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
