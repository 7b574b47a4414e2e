package qvl

import (
	"fmt"
	"slices"
	"time"
)

// A Result is the outcome of Intel's rules for a quote.
type Result struct {
	// Status is the status of platform, TDX module and QE together. The caller must
	// compare it with the statuses that it accepts: a revoked platform has a Result too.
	Status Status
	// Platform rates the microcode and firmware. Module rates the TDX module; that of TDX
	// 1.0 is rated with the platform, and is UpToDate without a date here. QE rates the
	// quoting enclave.
	Platform, Module, QE Level
	Advisories           []string // of all three, sorted
	// EvaluationNumber is Intel's tcbEvaluationDataNumber, the smaller one of TCB info
	// and QE identity. It grows with each revision of Intel's ratings.
	EvaluationNumber uint32
	FMSPC            [6]byte  // the kind of platform
	PPID             [16]byte // this platform
	DeviceID         [32]byte // SHA-256 of PPID
	// Expires is the earliest end of all that was used: collateral, revocation lists,
	// certificates. Do not use the result after it.
	Expires time.Time
	// Steps are the applied rules in order. A rule whose input could not be read is
	// missing.
	Steps []Step
}

// A Step is one rule and its outcome.
type Step struct {
	Name  string // unique among the steps of a result
	Value string // the checked value, for people to read
	Err   error  // nil: the rule holds
}

// steps is a growing list. Its first error is the error of the verification.
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

// union returns the strings of all lists, sorted, without repetitions.
func union(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}
