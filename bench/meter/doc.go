// Package meter reads what Linux knows of a process and of the machine: CPU time,
// memory, descriptors. It reads /proc and clocks, and changes nothing.
package meter
