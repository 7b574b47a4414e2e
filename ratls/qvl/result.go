package qvl

import (
	"fmt"
	"slices"
	"time"
)

// A Result is what Intel's rules say about a quote.
type Result struct {
	// Status is of platform, TDX module and QE together. Whoever acts on a result
	// must hold it against the statuses that he accepts: a revoked platform is
	// verified too.
	Status Status
	// Platform is the machine, by its microcode and firmware. Module is the TDX module;
	// that of TDX 1.0 is rated with the platform and UpToDate here, without
	// a date. QE is the quoting enclave.
	Platform, Module, QE Level
	Advisories           []string // of all three, sorted
	// EvaluationNumber is the smaller one of TCB info and QE identity (Intel's
	// tcbEvaluationDataNumber): the age of the rules that were applied.
	EvaluationNumber uint32
	FMSPC            [6]byte  // the kind of platform
	PPID             [16]byte // this platform
	DeviceID         [32]byte // SHA-256 of PPID
	// Expires is when the first of everything used ends: collateral, lists,
	// certificates. A verdict that is kept must not outlive it.
	Expires time.Time
	// Steps are the rules in the order in which they were applied. One whose
	// input could not be read is not among them.
	Steps []Step
}

// A Step is one rule and how it turned out.
type Step struct {
	Name  string // unique among the steps of a result
	Value string // what was judged, for people
	Err   error  // nil: the rule holds
}

// steps is a list that grows; its first error is that of the whole.
type steps []Step

// check adds a step and reports whether it holds.
func (s *steps) check(name, value string, err error) bool {
	*s = append(*s, Step{name, value, err})
	return err == nil
}

func (s steps) err() error {
	for _, step := range s {
		if step.Err != nil {
			return fmt.Errorf("%s: %w", step.Name, step.Err)
		}
	}
	return nil
}

// union returns what is in any of the lists, sorted, each once.
func union(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}
