// Package trial has what every measurement of the gateway needs: a plan, a CPU for the load
// and one for the measured program, and a head that says where the figures come from.
//
// Read [Plan] in plan.go first. place.go has CPUs and limits, machine.go the head of the
// results, and part.go processes of the same program.
package trial
