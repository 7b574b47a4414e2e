package hello

// Error says why a stream is refused and which alert to send to the client. All
// values are fixed: refusing allocates nothing.
type Error struct {
	// Alert is the AlertDescription to send (RFC 8446, 6.2). 0: send none, the
	// client does not speak TLS.
	Alert uint8
	why   string
}

func (e *Error) Error() string { return "client hello: " + e.why }

// The alerts of RFC 8446, 6.2 and RFC 6066, 3 that a hello can deserve.
const (
	alertNone              = 0
	alertUnexpectedMessage = 10
	alertRecordOverflow    = 22
	alertIllegalParameter  = 47
	alertDecodeError       = 50
	alertProtocolVersion   = 70
	alertUnrecognizedName  = 112
)

// Refusals that a caller may treat apart.
var (
	// ErrNotTLS: the stream does not begin like TLS 1.x. It may be plain HTTP
	// (see [LooksLikeHTTP]), an SSLv2 hello, or anything.
	ErrNotTLS = &Error{alertNone, "not a TLS handshake"}
	// ErrTooLarge: the message is over 64 KiB or its records over [MaxStream].
	// The alert is that of OpenSSL and BoringSSL for this case.
	ErrTooLarge = &Error{alertIllegalParameter, "too large"}
	// ErrServerName: the server name is not a host name, so nothing that is
	// served here can be meant. Such names never reach a log or a lookup.
	ErrServerName = &Error{alertUnrecognizedName, "server name is not a host name of at most 255 bytes"}
)

// Records (RFC 8446, 5.1).
var (
	errRecordType     = &Error{alertUnexpectedMessage, "record is not of type handshake"}
	errRecordVersion  = &Error{alertProtocolVersion, "record version is not 3.x"}
	errRecordEmpty    = &Error{alertUnexpectedMessage, "empty handshake record"}
	errRecordOverflow = &Error{alertRecordOverflow, "record is over 16 KiB"}
	errTrailing       = &Error{alertUnexpectedMessage, "message does not end with its record"}
	errMessageType    = &Error{alertUnexpectedMessage, "first message is not a ClientHello"}
)

// The message (RFC 8446, 4.1.2).
var (
	errBody        = &Error{alertDecodeError, "malformed body"}
	errCompression = &Error{alertIllegalParameter, "null compression is not offered"}
	errExtensions  = &Error{alertDecodeError, "malformed extensions"}
	errDuplicate   = &Error{alertIllegalParameter, "an extension is sent twice"}
	errNameList    = &Error{alertDecodeError, "malformed server_name"}
	errTwoNames    = &Error{alertIllegalParameter, "more than one host name"}
	errALPN        = &Error{alertDecodeError, "malformed ALPN"}
	errVersions    = &Error{alertDecodeError, "malformed supported_versions"}
)
