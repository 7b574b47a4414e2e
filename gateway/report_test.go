package gateway

import (
	"testing"
	"time"

	"sallyport/registry"
)

func TestStatusTellsFromWhenAnInstanceIsRefused(t *testing.T) {
	s := registry.Status{RefusedFrom: time.Unix(0, 0), Ended: "certificate: its chain expired"}
	const want = "; it is refused from 1970-01-01T00:00:00Z unless it registers again: certificate: its chain expired"
	if got := endOf(s); got != want {
		t.Error(got)
	}
}

func TestStatusTellsThatAnInstanceHasLostItsName(t *testing.T) {
	if got := endOf(registry.Status{Unnamed: "an app has its id"}); got != "; an app has its id" {
		t.Error(got)
	}
}
