package router

// Refusal is the reason why a connection is refused. Its text is a word for metrics
// and logs.
type Refusal uint8

// The refusals, in the order in which they are found.
const (
	None              Refusal = iota // not refused
	NoServerName                     // the hello has no server name
	UnknownDomain                    // the name is not one label below a served domain
	BadName                          // it is, but the label breaks the grammar
	UnknownApp                       // no app or instance has this id
	NoHealthyInstance                // the app is there, none of its instances is reachable
	PolicyUnknown                    // no instance has reported yet which ports are open
	PortDenied                       // the app does not open this port
	NoProtocol                       // the client offers ALPN, but no protocol that this name serves
	AppLimit                         // the app has as many connections as it may
	refusals
)

func (r Refusal) String() string {
	return [refusals]string{
		"none", "no_server_name", "unknown_domain", "bad_name", "unknown_app", "no_healthy_instance",
		"policy_unknown", "port_denied", "no_protocol", "app_limit",
	}[r]
}
