// Package gateway is one gateway: its parts, joined. New opens the parts, Run runs them,
// and nothing of it is the process's: a program may run several gateways, each with its own
// configuration. They share the process's limit of descriptors, which each of them divides
// as if it were alone.
//
// gateway.go is the table of contents. The two planes are put together in control.go (who
// is registered, and by which evidence) and data.go (where connections go). What a part
// decides is in the rooms below this package, which know nothing of each other:
//
//	gateway/issue     how the gateway gets its certificates
//	gateway/appraise  whose evidence is accepted
//	gateway/guests    who a guest is that registers
//	gateway/route     where a connection goes
//
// Reload and ReloadConfig (reload.go) take over what may change while the gateway runs;
// Status (report.go) is what operators see.
package gateway
