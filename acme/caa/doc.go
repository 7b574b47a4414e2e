// Package caa reads and writes the CAA records that say which authority may issue
// certificates for a domain (RFC 8659), to which account and by which method (RFC 8657).
//
//	gw.example.com  CAA 0 issue     "letsencrypt.org;validationmethods=dns-01;accounturi=https://…"
//	gw.example.com  CAA 0 issuewild "letsencrypt.org;validationmethods=dns-01;accounturi=https://…"
//
// [Check] judges an order before it is made, as the authority will. A refusal by the
// authority costs a failed order, counts against its limits and explains less. [Records]
// returns the records that pin issuance, and [Set] adds them to a zone without a moment in
// which any authority may issue.
//
// The package never treats a failure of DNS as absence of records, and never treats a
// record that it does not understand as permission. It does not replace the authority's own
// check, and verifies no DNSSEC signatures.
//
// Read check.go first. climb.go finds the records that count, policy.go judges them,
// value.go parses their values, authority.go knows the authorities' names. records.go and
// set.go make records.
package caa
