// Package peers starts the proxies that a comparison measures, each in a process of its
// own: the gateway, and the proxies that a user would choose instead, in their best forms.
//
// It configures them alike: one thread, the same certificate, key exchange, cipher and
// backend, session tickets, no log. It leaves nothing behind: a proxy ends with Stop, by its
// own process id, and with this process.
//
// Read forms.go first, the list of proxies. The templates beside it are their
// configurations, with a reason for each setting; process.go starts and ends one, find.go
// finds the programs.
package peers
