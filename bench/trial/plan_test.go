package trial

import (
	"testing"
	"time"
)

func TestPlanIsChecked(t *testing.T) {
	names := []string{"a", "b"}
	good := Plan{Only: []string{"b"}, Rounds: 1, Duration: time.Minute, ProxyCPU: 1}
	if err := good.Check(names, time.Minute); err != nil {
		t.Fatal(err)
	}
	if good.Has("a") || !good.Has("b") {
		t.Errorf("of a and b only b is measured: %v, %v", good.Has("a"), good.Has("b"))
	}
	if all := (Plan{}); !all.Has("a") {
		t.Error("a plan without names leaves something out")
	}
	for name, spoil := range map[string]func(*Plan){
		"one CPU for both":  func(p *Plan) { p.LoadCPU = p.ProxyCPU },
		"no CPU":            func(p *Plan) { p.LoadCPU = -1 },
		"no duration":       func(p *Plan) { p.Duration = 0 },
		"negative duration": func(p *Plan) { p.Duration = -1 },
		"too long":          func(p *Plan) { p.Duration = time.Minute + 1 },
		"no round":          func(p *Plan) { p.Rounds = 0 },
		"too many rounds":   func(p *Plan) { p.Rounds = maxRounds + 1 },
		"unknown name":      func(p *Plan) { p.Only = []string{"b", "c"} },
	} {
		p := good
		spoil(&p)
		if p.Check(names, time.Minute) == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
