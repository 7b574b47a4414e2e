package acme

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestMetricsTellOfEveryName(t *testing.T) {
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	leaf, key := selfMade(t, "*.a.test", end.Add(-2*time.Hour), end)
	m := &Manager{metrics: newMetrics(), names: map[string]view{
		"*.a.test": {domain: "a.test", served: &certificate{cert: tlsCertificate(leaf, key)}},
		"*.b.test": {domain: "b.test", state: nameState{Failures: 3}},
	}}
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(m.Collectors()...)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			for _, l := range metric.GetLabel() {
				got[f.GetName()+" "+l.GetValue()] = metric.GetGauge().GetValue()
			}
		}
	}
	for name, want := range map[string]float64{
		"gateway_acme_certificate_not_after_seconds *.a.test": float64(end.Unix()),
		"gateway_acme_certificate_not_after_seconds *.b.test": 0,
		"gateway_acme_failing_tries *.b.test":                 3,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
}
