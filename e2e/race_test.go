//go:build race

package e2e

// raceFlag adds the race detector to the arguments of go, as this test has it.
func raceFlag(command string, args ...string) []string {
	return append([]string{command, "-race"}, args...)
}
