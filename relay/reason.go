package relay

import "log/slog"

// Reason says why a connection ended. Every connection ends with exactly one,
// and from it follow the TLS alert, the log level, the metric and the access
// line. Its text is the label in metrics and logs and stays as it is.
type Reason uint8

// Party is the side that ended a connection.
type Party uint8

// The parties. A refusal by rule is the policy's doing, not the gateway's.
const (
	Client Party = iota
	Instance
	Policy
	Gateway
)

func (p Party) String() string {
	return [...]string{"client", "instance", "policy", "gateway"}[p]
}

// The reasons. The zero Reason means "go on".
const (
	goOn Reason = iota

	// Ordinary ends: the side that closed first.
	ClientClosed
	InstanceClosed
	ClientReset
	InstanceReset
	ClientTruncated // TCP FIN without a close_notify (RFC 8446, 6.1)
	InstanceTruncated

	// Before a decision.
	ClientGone // left before its hello was complete
	HelloTimeout
	NotTLS
	PlainHTTP
	PostgresPlain // a PostgreSQL client that does not ask for TLS
	BadHello
	HelloTooLarge
	BadProxyHeader

	// Decisions, made by the Router or by a limit.
	NoServerName
	UnknownDomain
	BadName
	UnknownApp
	NoHealthyInstance
	PortDenied
	OwnListener // the instance's address and port are this process's own
	NoProtocol
	AppLimit
	SourceLimit
	ConnectionLimit
	LookupLimit
	LookupFailed

	// Setting up.
	DialFailed
	DialTimeout
	NoTunnel          // the gateway's own way to the instances is not there
	NoLocalPort       // every local port has a connection to that port of the instance
	AttestationFailed // instances were reached, but did not prove to be the app
	PostgresRefused   // the instance does not speak TLS for PostgreSQL
	HandshakeFailed
	HandshakeTimeout

	// Relaying.
	IdleTimeout
	BadRecord // the client broke the TLS record layer
	InstanceBadRecord
	EmptyRecords // the client sent too many TLS records that bring nothing (turn.go)
	InstanceEmpty
	InstanceRemoved
	Drained    // still open when the drain time was over
	Descriptor // no descriptor left
	Internal   // a bug: a panic in what this connection needs

	reasons
)

// TLS alerts (RFC 8446, 6.2; no_application_protocol: RFC 7301).
const (
	alertNone                  = -1
	alertHandshakeFailure      = 40
	alertAccessDenied          = 49
	alertDecodeError           = 50
	alertInternalError         = 80
	alertUnrecognizedName      = 112
	alertNoApplicationProtocol = 120
)

type reasonInfo struct {
	name  string
	party Party
	alert int16 // sent in plaintext while no ServerHello was
	level slog.Level
}

// A peer that hangs up is not an error: it is logged at debug level. A refusal by
// rule is the operator's own will: info. What the operator can fix is a warning.
var reasonTable = [reasons]reasonInfo{
	ClientClosed:      {"client_closed", Client, alertNone, slog.LevelDebug},
	InstanceClosed:    {"instance_closed", Instance, alertNone, slog.LevelDebug},
	ClientReset:       {"client_reset", Client, alertNone, slog.LevelDebug},
	InstanceReset:     {"instance_reset", Instance, alertInternalError, slog.LevelDebug},
	ClientTruncated:   {"client_truncated", Client, alertNone, slog.LevelDebug},
	InstanceTruncated: {"instance_truncated", Instance, alertNone, slog.LevelDebug},
	ClientGone:        {"client_gone", Client, alertNone, slog.LevelDebug},
	HelloTimeout:      {"hello_timeout", Client, alertDecodeError, slog.LevelDebug},
	NotTLS:            {"not_tls", Client, alertNone, slog.LevelDebug},
	PlainHTTP:         {"plain_http", Client, alertNone, slog.LevelDebug},
	PostgresPlain:     {"postgres_plain", Client, alertNone, slog.LevelDebug},
	BadHello:          {"bad_hello", Client, alertDecodeError, slog.LevelDebug},
	HelloTooLarge:     {"hello_too_large", Client, alertDecodeError, slog.LevelDebug},
	BadProxyHeader:    {"bad_proxy_header", Client, alertNone, slog.LevelWarn},
	NoServerName:      {"no_server_name", Policy, alertUnrecognizedName, slog.LevelDebug},
	UnknownDomain:     {"unknown_domain", Policy, alertUnrecognizedName, slog.LevelDebug},
	BadName:           {"bad_name", Policy, alertUnrecognizedName, slog.LevelDebug},
	UnknownApp:        {"unknown_app", Policy, alertUnrecognizedName, slog.LevelDebug},
	NoHealthyInstance: {"no_healthy_instance", Instance, alertInternalError, slog.LevelInfo},
	PortDenied:        {"port_denied", Policy, alertAccessDenied, slog.LevelInfo},
	OwnListener:       {"own_listener", Policy, alertAccessDenied, slog.LevelInfo},
	NoProtocol:        {"no_protocol", Policy, alertNoApplicationProtocol, slog.LevelDebug},
	AppLimit:          {"app_limit", Policy, alertAccessDenied, slog.LevelInfo},
	SourceLimit:       {"source_limit", Policy, alertAccessDenied, slog.LevelInfo},
	ConnectionLimit:   {"connection_limit", Policy, alertAccessDenied, slog.LevelInfo},
	LookupLimit:       {"lookup_limit", Policy, alertAccessDenied, slog.LevelInfo},
	LookupFailed:      {"lookup_failed", Gateway, alertInternalError, slog.LevelInfo},
	DialFailed:        {"dial_failed", Instance, alertInternalError, slog.LevelInfo},
	DialTimeout:       {"dial_timeout", Instance, alertInternalError, slog.LevelInfo},
	NoTunnel:          {"no_tunnel", Gateway, alertInternalError, slog.LevelWarn},
	NoLocalPort:       {"no_local_port", Gateway, alertInternalError, slog.LevelWarn},
	AttestationFailed: {"attestation_failed", Instance, alertInternalError, slog.LevelInfo},
	PostgresRefused:   {"postgres_refused", Instance, alertHandshakeFailure, slog.LevelInfo},
	HandshakeFailed:   {"handshake_failed", Client, alertNone, slog.LevelDebug}, // crypto/tls has sent its own
	HandshakeTimeout:  {"handshake_timeout", Client, alertNone, slog.LevelDebug},
	IdleTimeout:       {"idle_timeout", Gateway, alertNone, slog.LevelDebug},
	BadRecord:         {"bad_record", Client, alertNone, slog.LevelDebug},
	InstanceBadRecord: {"instance_bad_record", Instance, alertNone, slog.LevelInfo},
	EmptyRecords:      {"empty_records", Client, alertNone, slog.LevelDebug},
	InstanceEmpty:     {"instance_empty_records", Instance, alertNone, slog.LevelInfo},
	InstanceRemoved:   {"instance_removed", Policy, alertInternalError, slog.LevelInfo},
	Drained:           {"drained", Gateway, alertInternalError, slog.LevelInfo},
	Descriptor:        {"no_descriptor", Gateway, alertInternalError, slog.LevelWarn},
	Internal:          {"internal", Gateway, alertInternalError, slog.LevelError},
}

// String is the reason's name in metrics and logs.
func (r Reason) String() string { return reasonTable[r].name }

// Party returns the side that ended the connection.
func (r Reason) Party() Party { return reasonTable[r].party }

// ordinary reports whether the connection just came to its end.
func (r Reason) ordinary() bool { return r == ClientClosed || r == InstanceClosed }

// level is the severity of the line with the reason.
func (r Reason) level() slog.Level { return reasonTable[r].level }

// alert is the code of the plaintext alert for the client, or alertNone.
func (r Reason) alert() int { return int(reasonTable[r].alert) }
