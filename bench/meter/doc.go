// Package meter reads what Linux knows about a process and about the machine: CPU time,
// memory, descriptors. It reads /proc and clocks, and changes nothing.
package meter
