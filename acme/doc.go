// Package acme gets and renews the certificates of the gateway's own domains. It orders
// one for *.domain (and the apex) from a certificate authority by ACME (RFC 8555), renews
// it when the authority suggests so (ARI, RFC 9773) or when it is about to expire, and
// passes it to OnCertificate. No handshake waits for it.
//
// An order survives kill -9: its key and its address at the authority are stored before
// anything else is requested, so the next start continues the same order with the same
// account. A failure is stored with the time of the next try, so restarts make no more
// orders than the schedule allows. While an authority fails, the certificate in use stays,
// and a second authority is tried.
//
// The package serves no TLS, holds no index of served certificates, writes no DNS records
// (the solvers in dns01 do), and judges no CAA records (Preflight does). If the stored
// account cannot be read it makes no new one, because CAA records may name that account.
//
// Read manager.go first, which holds the names, then worker.go for the life of one name;
// renewal.go and backoff.go have its times. attempt.go is one try through certmagic, which
// asks the authorities of authority.go in turn; order.go is an order from its first
// request to the certificate. account.go, pending.go, record.go and history.go are what is
// stored, under the names of store.go; storage.go and lease.go are what certmagic sees.
package acme
