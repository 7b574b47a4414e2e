package hello

// The ClientHello (RFC 8446, 4.1.2). Only the frame of each extension and the
// three extensions that a gateway decides by are checked: the others are for
// the server that terminates TLS, and may be unknown here.

import (
	"bytes"
	"cmp"
	"encoding/binary"
)

const (
	lengthRandom    = 32
	maxSessionID    = 32
	compressionNull = 0

	extServerName        = 0  // RFC 6066, 3
	extMaxFragment       = 1  // RFC 6066, 4
	extALPN              = 16 // RFC 7301
	extRecordLimit       = 28 // RFC 8449, 4
	extEarlyData         = 42 // RFC 8446, 4.2.10
	extSupportedVersions = 43 // RFC 8446, 4.2.1

	minRecordLimit = 64 // RFC 8449, 4

	nameTypeHost = 0
	maxName      = 255 // RFC 1035, 2.3.4
	maxLabel     = 63  // the same
)

// decode fills h from message, a whole handshake message with its header.
func (h *Hello) decode(message []byte) *Error {
	const fixed = messageHeader + 2 + lengthRandom
	if len(message) < fixed {
		return errBody
	}
	h.Versions.legacy = binary.BigEndian.Uint16(message[messageHeader:])
	session, rest, ok1 := vector8(message[fixed:])
	suites, rest, ok2 := vector16(rest)
	methods, rest, ok3 := vector8(rest)
	switch {
	case !ok1 || !ok2 || !ok3,
		len(session) > maxSessionID,
		len(suites) == 0 || len(suites)%2 != 0:
		return errBody
	case bytes.IndexByte(methods, compressionNull) < 0:
		return errCompression
	}
	h.SessionID = session
	h.Entries = len(suites) / 2
	if len(rest) == 0 {
		return nil // RFC 5246, 7.4.1.2: there may be no extensions at all
	}
	extensions, rest, ok := vector16(rest)
	if !ok || len(rest) > 0 {
		return errExtensions
	}
	return h.decodeExtensions(extensions)
}

func (h *Hello) decodeExtensions(extensions []byte) *Error {
	var seen extensionSet
	var fragment, limit int
	for len(extensions) > 0 {
		if len(extensions) < 2 {
			return errExtensions
		}
		kind := binary.BigEndian.Uint16(extensions)
		data, rest, ok := vector16(extensions[2:])
		if !ok {
			return errExtensions
		}
		if !seen.add(kind) {
			return errDuplicate
		}
		h.Entries++
		var err *Error
		switch kind {
		case extServerName:
			h.ServerName, err = decodeServerName(data)
		case extALPN:
			h.ALPN, err = decodeALPN(data)
			h.Entries += entries(kind, data)
		case extSupportedVersions:
			h.Versions.list, err = decodeVersions(data)
		case extEarlyData:
			h.EarlyData = true
		case extGroups, extSignatures, extSignaturesCert, extKeyShare, extPreSharedKey:
			h.Entries += entries(kind, data)
		case extMaxFragment:
			fragment = decodeMaxFragment(data)
		case extRecordLimit:
			limit = decodeRecordLimit(data)
		}
		if err != nil {
			return err
		}
		extensions = rest
	}
	h.MaxPlaintext = cmp.Or(limit, fragment) // the limit goes first (RFC 8449, 5)
	if h.MaxPlaintext >= maxRecord {
		h.MaxPlaintext = 0 // as much as there can be
	}
	return nil
}

// decodeServerName returns the host name in a ServerNameList, in its one form. Names of another
// type are skipped: RFC 6066 gives all of them a length to skip by.
func decodeServerName(data []byte) (host []byte, err *Error) {
	list, rest, ok := vector16(data)
	if !ok || len(rest) > 0 || len(list) == 0 {
		return nil, errNameList
	}
	for len(list) > 0 {
		name, rest, ok := vector16(list[1:])
		if !ok || len(name) == 0 {
			return nil, errNameList
		}
		if list[0] == nameTypeHost {
			if host != nil {
				return nil, errTwoNames
			}
			host = name
		}
		list = rest
	}
	host, ok = canonical(host)
	if !ok {
		return nil, ErrServerName
	}
	return host, nil
}

// canonical returns name in lower case and without the dot that may be at its end. It
// reports false unless name is made of labels of 1 to 63 letters, digits, '-' and '_',
// with a dot between them. RFC 1123 has no '_', but resolvers and clients take it, and
// names of customers have it.
//
// The result is a view on name, which is a part of the stream and stays as it is; a name
// with upper case is copied, and clients hardly ever send one.
func canonical(name []byte) (_ []byte, ok bool) {
	label, seen := 0, byte(0) // where the label begins, and what was seen so far
	for i, c := range name {
		if inLabel[c] != 0 {
			seen |= inLabel[c]
			continue
		}
		if c != '.' || i == label || i-label > maxLabel {
			return nil, false
		}
		label = i + 1
	}
	if len(name) > maxName || len(name)-label > maxLabel {
		return nil, false
	}
	if label > 0 && label == len(name) {
		name = name[: label-1 : label-1]
	}
	if seen&upper != 0 {
		name = bytes.ToLower(name)
	}
	return name, true
}

// upper is the class of A to Z in inLabel; others of a label have another one.
const upper = 2

// inLabel holds the class of each byte that a label may have, and 0 for the others: faster
// than seven comparisons a byte.
var inLabel = func() (table [256]byte) {
	for _, c := range "-_0123456789abcdefghijklmnopqrstuvwxyz" {
		table[c] = 1
	}
	for c := 'A'; c <= 'Z'; c++ {
		table[c] = upper
	}
	return table
}()

func decodeALPN(data []byte) (ALPN, *Error) {
	list, rest, ok := vector16(data)
	if !ok || len(rest) > 0 || len(list) == 0 {
		return ALPN{}, errALPN
	}
	for rest := list; len(rest) > 0; {
		var proto []byte
		if proto, rest, ok = vector8(rest); !ok || len(proto) == 0 {
			return ALPN{}, errALPN
		}
	}
	return ALPN{list}, nil
}

func decodeVersions(data []byte) ([]byte, *Error) {
	list, rest, ok := vector8(data)
	if !ok || len(rest) > 0 || len(list) == 0 || len(list)%2 != 0 {
		return nil, errVersions
	}
	return list, nil
}

// decodeMaxFragment returns 512 to 4096, or 0 for a value without meaning: the server that
// honours the extension refuses it.
func decodeMaxFragment(data []byte) int {
	if len(data) != 1 || data[0] < 1 || data[0] > 4 {
		return 0
	}
	return 1 << (8 + data[0])
}

// decodeRecordLimit returns how much of a record's limit is left for content: in TLS 1.3
// its type is in it too.
func decodeRecordLimit(data []byte) int {
	if len(data) != 2 {
		return 0
	}
	n := int(binary.BigEndian.Uint16(data))
	if n < minRecordLimit {
		return 0
	}
	return n - 1
}

// vector8 splits s behind a vector with a length of one byte (RFC 8446, 3.4).
// These two instead of x/crypto/cryptobyte halve the time for a hello.
func vector8(s []byte) (content, rest []byte, ok bool) {
	if len(s) < 1 || len(s)-1 < int(s[0]) {
		return nil, nil, false
	}
	n := 1 + int(s[0])
	return s[1:n:n], s[n:], true
}

// vector16 is vector8 with a length of two bytes.
func vector16(s []byte) (content, rest []byte, ok bool) {
	if len(s) < 2 || len(s)-2 < int(binary.BigEndian.Uint16(s)) {
		return nil, nil, false
	}
	n := 2 + int(binary.BigEndian.Uint16(s))
	return s[2:n:n], s[n:], true
}
