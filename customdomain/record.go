package customdomain

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"sallyport/internal/vm"
)

// The text of a record is <id>:<port>, perhaps in quotes and with blanks around it,
// which come of pasting it into a provider's form, and nothing else. A name should
// have one record. Where it has more, servers send them in changing order, so the first one
// would be a matter of luck: of those that can be read the smallest text counts.

var (
	errForm = errors.New("want <id>:<port>")
	errID   = errors.New("the id is not 1 to 63 letters and digits")
	errPort = errors.New("the port is not a number from 1 to 65535")
)

// choose reads the one of texts, at least one, that counts.
func choose(texts []string) (Target, error) {
	for i, text := range texts {
		texts[i] = strings.TrimFunc(text, isAround)
	}
	slices.Sort(texts)
	for _, text := range texts {
		if t, err := parseRecord(text); err == nil {
			return t, nil
		}
	}
	_, err := parseRecord(texts[0])
	return Target{}, fmt.Errorf("%w %s: %w", ErrBroken, show(texts[0]), err)
}

// isAround reports whether r stands around a record by mistake.
func isAround(r rune) bool { return r == '"' || unicode.IsSpace(r) }

// parseRecord reads a record without the text around it. The id is folded to lower case; the port is in
// decimal, without sign, space or leading zero.
func parseRecord(text string) (Target, error) {
	id, port, ok := strings.Cut(text, ":")
	if !ok {
		return Target{}, errForm
	}
	label, ok := vm.ParseLabel(id)
	if !ok {
		return Target{}, errID
	}
	if port == "" || !isDigit(port[0]) || port[0] == '0' { // ParseUint takes no sign either
		return Target{}, errPort
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return Target{}, errPort
	}
	return Target{ID: label, Port: uint16(n)}, nil
}

// String is the record that means t.
func (t Target) String() string { return t.ID.String() + ":" + strconv.Itoa(int(t.Port)) }
