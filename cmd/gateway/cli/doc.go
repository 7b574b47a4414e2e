// Package cli has what the gateway's commands share.
//
//	exit.go     exit codes, and how a failure is reported
//	command.go  errors of usage, and the flag for the configuration
//	signal.go   signals, and the end of a process that does not end by itself
//	log.go      the logger
//	runtime.go  the Go runtime of a process that relays
//
// It knows no command, and no part of a gateway.
package cli
