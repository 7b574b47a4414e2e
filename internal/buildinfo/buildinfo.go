// Package buildinfo says which version of the program runs.
package buildinfo

import "runtime/debug"

// Set by the linker (see Makefile). What is left empty comes from the build's own record.
var (
	version string
	commit  string
)

// Version returns the version, such as "v1.2.0".
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return ""
}

// Commit returns the commit from which the program was built, or "unknown".
func Commit() string {
	if commit != "" {
		return commit
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}
