// Package trial is what every measurement of the gateway has: a plan, a CPU for
// the load and one for what is measured, and a head that says where the figures
// come from.
//
// How to read it: [Plan] in plan.go is what a measurement is asked for, place.go
// has CPUs and limits, machine.go the head of the results, part.go processes of the
// same program.
package trial
