package router

import (
	"bytes"
	"errors"
	"strconv"

	"sallyport/internal/hello"
	"sallyport/internal/vm"
)

// The grammar of the first label of a server name:
//
//	<id>[-[<port>][s|g]]
//
//	id         port 80, terminate        id-s       port 443, passthrough
//	id-        the same                  id-8443s   port 8443, passthrough
//	id-8080    port 8080, terminate      id-g       port 80, terminate, HTTP/2
//	                                     id-50051g  port 50051, terminate, HTTP/2
//
// An id has letters and digits only, so that the first '-' ends it. Case does not
// matter. Ports are 1 to 65535, in decimal.

// Name is the meaning of the first label.
type Name struct {
	ID   []byte // of an instance, else of an app; a part of the label
	Port uint16
	Mode hello.Mode
}

// The errors of ParseName.
var (
	errID       = errors.New("the id is not 1 to 63 letters and digits")
	errParts    = errors.New("more than one part after the id")
	errSuffixes = errors.New("both suffixes, s and g")
	errPort     = errors.New("the port is not a number from 1 to 65535")
)

// ParseName reads the first label of a server name, which must be in lower case. The
// error is one of a few fixed ones; nothing is allocated.
func ParseName(label []byte) (Name, error) {
	id, rest, _ := bytes.Cut(label, []byte("-"))
	if !isID(id) {
		return Name{}, errID
	}
	n := Name{ID: id, Mode: hello.Terminate}
	rest, err := n.cutSuffix(rest)
	if err != nil {
		return Name{}, err
	}
	if n.Port, err = parsePort(rest, impliedPort(n.Mode)); err != nil {
		return Name{}, err
	}
	return n, nil
}

// isID reports whether s is 1 to 63 digits and lower-case letters.
func isID(s []byte) bool {
	if len(s) == 0 || len(s) > vm.MaxLabel {
		return false
	}
	for _, c := range s {
		if !inID[c] {
			return false
		}
	}
	return true
}

// inID marks digits and lower-case letters. Comparisons in its place take 120 ns more for
// an id, because nothing predicts whether a digit or a letter comes next.
var inID = func() (table [256]bool) {
	for _, c := range "0123456789abcdefghijklmnopqrstuvwxyz" {
		table[c] = true
	}
	return table
}()

// impliedPort is the port of a name without one.
func impliedPort(m hello.Mode) uint16 {
	if m == hello.Passthrough {
		return 443
	}
	return 80
}

// suffixes are how names ask for the modes.
var suffixes = [hello.Modes]string{hello.TerminateH2: "g", hello.Passthrough: "s"}

// String is the shortest label that means n.
func (n Name) String() string {
	label := string(n.ID)
	if n.Mode == hello.Terminate && n.Port == impliedPort(n.Mode) {
		return label
	}
	label += "-"
	if n.Port != impliedPort(n.Mode) {
		label += strconv.Itoa(int(n.Port))
	}
	return label + suffixes[n.Mode]
}

func (n *Name) cutSuffix(rest []byte) ([]byte, error) {
	for len(rest) > 0 {
		end := len(rest) - 1
		var m hello.Mode
		switch rest[end] {
		case 's':
			m = hello.Passthrough
		case 'g':
			m = hello.TerminateH2
		default:
			return rest, nil
		}
		if n.Mode != hello.Terminate {
			return nil, errSuffixes
		}
		n.Mode, rest = m, rest[:end]
	}
	return rest, nil
}

// parsePort reads digits alone: no sign, no space. Leading zeros do no harm.
func parsePort(digits []byte, otherwise uint16) (uint16, error) {
	if len(digits) == 0 {
		return otherwise, nil
	}
	port := 0
	for _, c := range digits {
		switch {
		case c == '-':
			return 0, errParts
		case c < '0' || c > '9':
			return 0, errPort
		}
		if port = port*10 + int(c-'0'); port > 65535 {
			return 0, errPort
		}
	}
	if port == 0 {
		return 0, errPort
	}
	return uint16(port), nil
}
