// Package cli has what the gateway's commands share.
//
//	exit.go     exit codes, and how a failure is reported
//	command.go  errors of usage, and the flag for the configuration
//	signal.go   signals, and the end of a process that does not end by itself
//	log.go      the logger
//	runtime.go  the Go runtime of a process that relays
//
// It does not know the commands, or the parts of a gateway. Folder asguest makes a process
// a guest, for the commands that do.
package cli
