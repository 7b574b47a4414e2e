// Package hostname checks DNS names in text form, without a dot at their end.
//
// Two readers have rules of their own: internal/hello takes what clients send, and
// acme/caa takes the names of authorities by the grammar of RFC 8659.
package hostname

// The longest DNS name in text and the longest label, in bytes (RFC 1035, 2.3.4).
const (
	MaxLength = 253
	MaxLabel  = 63
)

// Valid reports whether name is a host name (RFC 1123, 2.1): up to MaxLength bytes of
// labels, with a dot between them. Case does not matter.
func Valid[T string | []byte](name T) bool { return valid(name, false) }

// ValidLoose reports whether name is a host name that may have underscores too.
// RFC 1123 has none, but owners of names and clients use them.
func ValidLoose[T string | []byte](name T) bool { return valid(name, true) }

// ValidLabel reports whether label is 1 to MaxLabel letters, digits and inner hyphens.
func ValidLabel[T string | []byte](label T) bool { return validLabel(label, false) }

func valid[T string | []byte](name T, underscores bool) bool {
	if len(name) > MaxLength {
		return false
	}
	start := 0 // of the present label
	for i := range len(name) {
		if name[i] != '.' {
			continue
		}
		if !validLabel(name[start:i], underscores) {
			return false
		}
		start = i + 1
	}
	return validLabel(name[start:], underscores)
}

func validLabel[T string | []byte](label T, underscores bool) bool {
	n := len(label)
	if n == 0 || n > MaxLabel || label[0] == '-' || label[n-1] == '-' {
		return false
	}
	for i := range n {
		if c := label[i]; !inLabel[c] && (!underscores || c != '_') {
			return false
		}
	}
	return true
}

// inLabel marks letters, digits and hyphens: names are checked for each connection.
var inLabel = func() (table [256]bool) {
	for _, c := range "-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		table[c] = true
	}
	return table
}()
