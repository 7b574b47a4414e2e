// Package exec changes records by a program of the operator, for DNS providers without a
// package here.
//
// The gateway runs the program once for each change:
//
//	program present _acme-challenge.gw.example.com. <value> example.com.
//	program cleanup _acme-challenge.gw.example.com. <value> example.com.
//
// The arguments are the action, the name of the TXT record, its value (43 letters, digits,
// '-' and '_'; the first may be a '-'), and the zone. The environment has the same in
// DNS01_ACTION, DNS01_NAME, DNS01_VALUE and DNS01_ZONE. It also has PATH, HOME, TMPDIR, TZ
// and LANG of the gateway, and the variables that [Options] lists. Standard input is empty.
//
//   - present adds the value to those that the name has. It is called again after a crash
//     and must succeed if the value is already there.
//   - cleanup removes only this value. It must succeed if the value is already gone.
//   - Status 0 means that the change was accepted. The gateway itself waits until all name
//     servers have it. Any other status is a failure, and the error contains the end of what
//     the program wrote to its standard output and error.
//   - A program that does not end in time is killed, together with everything in its process
//     group. The rest of the group is also killed when the program ends by itself.
//
// Read provider.go, which turns changes into runs, then run.go for one run.
package exec
