package issue

import (
	"testing"

	"github.com/mholt/acmez/v3"
)

func TestNobodyWaitsForTheOwnNameServer(t *testing.T) {
	var s acmez.Solver = immediate{}
	if _, ok := s.(acmez.Waiter); ok {
		t.Error("it is an acmez.Waiter")
	}
}
