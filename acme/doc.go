// Package acme keeps the certificates of the gateway's own domains: it gets one for
// *.domain (and the apex) from a certificate authority by ACME (RFC 8555), renews it
// when the authority suggests so (ARI, RFC 9773) or its life runs out, and hands it
// to whoever serves it. No handshake ever waits for it.
//
// An order survives kill -9: its key and its address at the authority are stored
// before anything else is asked for, so that the next start goes on with the same
// order of the same account. A failure is stored with the time of the next try, so
// that no number of restarts makes more orders than the schedule allows. While an
// authority fails, the certificate in use stays, and a second authority is asked.
//
// What it refuses to do: it serves no TLS and holds no index of what is served
// (OnCertificate tells), it writes no DNS record itself (see the solvers in dns01),
// it judges no CAA record (Preflight does), and it makes no new account where the
// stored one cannot be read, because CAA records may name that account.
//
// How to read it: manager.go holds the names, worker.go is the life of one of them,
// renewal.go and backoff.go its times. attempt.go is one try through certmagic, which
// asks the authorities of authority.go in turn; order.go is an order from its first
// request to the certificate. account.go, pending.go, record.go and history.go are
// what is stored, under the names of store.go; storage.go and lease.go are what
// certmagic sees of it.
package acme
