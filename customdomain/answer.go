package customdomain

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/dnsquery"

	"github.com/miekg/dns"
)

// maxAliases bounds the CNAMEs in an answer, and so ends their loops.
const maxAliases = 8

var (
	errType    = errors.New("the answer does not match the question")
	errAliases = fmt.Errorf("%w: the name has a chain of more than %d aliases", ErrBroken, maxAliases)
)

// readAnswer takes the TXT records of name out of the answer to its question, each
// with its strings joined (RFC 7208, 3.3, joins them so), and for how long they are
// good. Aliases count only as far as the resolver has followed them.
//
// The error is ErrNotFound, ErrBroken where the domain's owner is to blame, or
// another one where the resolver is.
func readAnswer(name string, m *dns.Msg) (texts []string, ttl time.Duration, err error) {
	if err := dnsquery.Code(m); err != nil {
		return nil, 0, err
	}
	if m.Rcode == dns.RcodeNameError {
		return nil, 0, ErrNotFound
	}
	ttl = math.MaxInt64
	for aliases := range maxAliases + 1 {
		next := ""
		for _, rr := range m.Answer {
			h := rr.Header()
			if h.Class != dns.ClassINET || dns.CanonicalName(h.Name) != name {
				continue
			}
			switch rr := rr.(type) {
			case *dns.TXT:
				texts = append(texts, unescape(strings.Join(rr.Txt, "")))
				ttl = min(ttl, seconds(h.Ttl))
			case *dns.CNAME:
				next = dns.CanonicalName(rr.Target)
				ttl = min(ttl, seconds(h.Ttl))
			}
		}
		switch {
		case len(texts) > 0:
			return texts, ttl, nil
		case next != "":
			name = next
		case aliases == 0 && len(m.Answer) > 0:
			return nil, 0, errType
		default:
			return nil, 0, ErrNotFound
		}
	}
	return nil, 0, errAliases
}

// unescape is the text of a record as it was on the wire. Package dns has it in the
// form of zone files, where \" is a quote and \009 a tab (RFC 1035, 5.1).
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b []byte
	for ; s != ""; s = s[1:] {
		c := s[0]
		if c == '\\' && len(s) > 1 {
			s = s[1:]
			c = s[0]
			if len(s) >= 3 {
				if code, err := strconv.ParseUint(s[:3], 10, 8); err == nil {
					c, s = byte(code), s[2:]
				}
			}
		}
		b = append(b, c)
	}
	return string(b)
}

// seconds is a TTL; one with the highest bit set means 0 (RFC 2181, 8).
func seconds(ttl uint32) time.Duration {
	if ttl > math.MaxInt32 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}
