package trial

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Plan says what is measured, how often, for how long and where.
type Plan struct {
	Gateway  string   // the binary that is measured
	Version  string   // its version
	Only     []string // the names of what is measured; none is all
	Rounds   int
	Duration time.Duration // of one figure in a round
	ProxyCPU int           // of what is measured
	LoadCPU  int           // of all else
	// Progress is called with a line for each run, when it has ended. Nil is none. It
	// is not called concurrently.
	Progress func(string)
}

const maxRounds = 1000

// Check fills in the defaults and returns what is wrong. Names are those that Only may
// have, longest is the limit of Duration.
func (p *Plan) Check(names []string, longest time.Duration) error {
	if p.Progress == nil {
		p.Progress = func(string) {}
	}
	for _, name := range p.Only {
		if !slices.Contains(names, name) {
			return fmt.Errorf("only %q: want one of %v", name, names)
		}
	}
	switch {
	case p.Rounds < 1 || p.Rounds > maxRounds:
		return fmt.Errorf("rounds: want 1 to %d", maxRounds)
	case p.Duration <= 0 || p.Duration > longest:
		return fmt.Errorf("duration: want up to %s", longest)
	case p.ProxyCPU < 0 || p.LoadCPU < 0 || p.ProxyCPU == p.LoadCPU:
		return errors.New("the proxy and the load need CPUs of their own")
	}
	return nil
}

// Has reports whether what has this name is measured.
func (p *Plan) Has(name string) bool { return len(p.Only) == 0 || slices.Contains(p.Only, name) }
