package route

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"sallyport/config"
)

func TestApexIsServedOnlyWhereItIsAskedFor(t *testing.T) {
	d := newDomains([]config.Domain{{Name: "a.test", IncludeApex: true}, {Name: "b.test"}}, nil)
	for name, want := range map[string]string{
		"a.test": "a.test",
		"b.test": "", "x.a.test": "", "test": "", "": "", ".": "",
	} {
		if got := d.apex([]byte(name)); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	name := []byte("some-app.a.test")
	if n := testing.AllocsPerRun(100, func() { d.apex(name) }); n != 0 {
		t.Errorf("%v allocations for a name that is none", n)
	}
}

func TestNamesBelowADomainAreOurs(t *testing.T) {
	d := newDomains([]config.Domain{{Name: "a.test"}, {Name: "deep.er.b.test"}}, nil)
	for name, want := range map[string]bool{
		"a.test": true, "x.y.a.test": true, "xa.test": false, "test": false, "": false, ".": false,
		"deep.er.b.test": true, "x.deep.er.b.test": true, "er.b.test": false, "a.test.org": false, ".a.test": true,
		strings.Repeat("x.", 120) + "a.test": true, strings.Repeat("x.", 120) + "a.org": false,
	} {
		if got := d.isOurs([]byte(name)); got != want {
			t.Errorf("%q: %t, want %t", name, got, want)
		}
	}
}

// manyDomains are n served domains.
func manyDomains(n int) *domains {
	var all []config.Domain
	for i := range n {
		all = append(all, config.Domain{Name: "d" + strconv.Itoa(i) + ".example.test"})
	}
	return newDomains(all, nil)
}

// The best of many turns is compared, so that a busy machine does not matter: a walk
// over all domains takes a thousand times as long as one lookup.
func TestForeignNamesCostTheSameAmongManyDomains(t *testing.T) {
	name := []byte("www.customer.example.org")
	best := func(d *domains) time.Duration {
		least := time.Hour
		for range 50 {
			began := time.Now()
			for range 100 {
				d.isOurs(name)
			}
			least = min(least, time.Since(began))
		}
		return least
	}
	if one, many := best(manyDomains(1)), best(manyDomains(10_000)); many > 50*one {
		t.Errorf("100 lookups take %v among one domain and %v among 10,000", one, many)
	}
}

func BenchmarkForeignName(b *testing.B) {
	name := []byte("www.customer.example.org")
	for _, n := range []int{1, 1000} {
		d := manyDomains(n)
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d.isOurs(name)
			}
		})
	}
}
