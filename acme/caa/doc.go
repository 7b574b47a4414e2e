// Package caa reads and writes the CAA records that say which authority may issue
// certificates for a domain (RFC 8659), to which account and by which method (RFC
// 8657).
//
//	gw.example.com  CAA 0 issue     "letsencrypt.org;validationmethods=dns-01;accounturi=https://…"
//	gw.example.com  CAA 0 issuewild "letsencrypt.org;validationmethods=dns-01;accounturi=https://…"
//
// [Check] judges an order before it is made, as the authority will: a refusal there
// costs a failed order, counts against its limits and explains less. [Records] are
// those that pin issuance, and [Set] brings them to a zone without a moment in which
// anybody may issue.
//
// What it refuses to do: it takes no failure of DNS for absence, and nothing that it
// does not understand for a permission. It is no defence by itself, since the
// authority decides, and it checks no DNSSEC signature.
//
// How to read it: check.go is the whole judgement; climb.go finds the records that
// count, policy.go judges them, value.go parses what they say; authority.go knows
// the authorities' names. records.go and set.go make records.
package caa
