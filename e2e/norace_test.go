//go:build !race

package e2e

func raceFlag(command string, args ...string) []string { return append([]string{command}, args...) }
