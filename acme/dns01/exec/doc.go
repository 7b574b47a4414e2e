// Package exec changes records by a program of the operator's, for providers that
// have no other module here.
//
// The contract. The program is run once for each change:
//
//	program present _acme-challenge.gw.example.com. <value> example.com.
//	program cleanup _acme-challenge.gw.example.com. <value> example.com.
//
// The first argument is the action, then come the name of the TXT record, its value
// (43 letters, digits, '-' and '_', of which the first may be a '-'), and the zone.
// The environment has the same in DNS01_ACTION, DNS01_NAME, DNS01_VALUE and
// DNS01_ZONE; besides, it has PATH, HOME, TMPDIR, TZ and LANG of the gateway, and
// those variables that [Options] lists. Standard input is empty.
//
//   - present adds the value to those that the name has; it is called again after a
//     crash, and must take a value that is there for success.
//   - cleanup removes this value alone; one that is gone is success.
//   - Status 0 means that the change was accepted. The gateway itself waits until all
//     nameservers have it. Any other status is a failure; the end of what the program
//     wrote to its standard output and error is told with it.
//   - A program that does not end in time is killed. Whatever it started in its
//     process group is killed with it, also when it ends by itself.
//
// How to read it: provider.go makes runs of changes, run.go is one run.
package exec
