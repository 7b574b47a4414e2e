// Package peers starts the proxies that a comparison measures, each as a process
// of its own: the gateway, and what a user would pick instead, in the best forms
// that its makers offer.
//
// It configures them alike: one thread, the same certificate, key exchange,
// cipher and backend, session tickets, no log. It refuses to leave anything
// behind: a proxy ends with Stop, by its own process id, and with this process.
//
// How to read it: forms.go lists the proxies; the templates beside it are their
// configurations, with a reason for each setting; process.go starts and ends one,
// find.go finds the programs.
package peers
