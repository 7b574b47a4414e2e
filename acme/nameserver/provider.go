package nameserver

import (
	"context"
	"fmt"

	"github.com/libdns/libdns"
)

// A Server is a provider for package dns01 too. So it serves domains whose challenges
// are aliases to names in its zones, without a zone of their own here:
//
//	_acme-challenge.www.customer.example  CNAME  www.acme.gw.example.
//
// dns01 follows the alias, finds the zone, and asks by the network whether the record
// is seen: that the parent delegates to this server is checked with it.
var (
	_ libdns.RecordAppender = (*Server)(nil)
	_ libdns.RecordDeleter  = (*Server)(nil)
)

// AppendRecords presents TXT records, the only ones that can be given. Their TTL is
// this server's own.
func (s *Server) AppendRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return eachText(ctx, zone, records, s.Present)
}

// DeleteRecords cleans TXT records up. One that is gone is success.
func (s *Server) DeleteRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return eachText(ctx, zone, records, s.CleanUp)
}

// eachText returns the records up to the first failure.
func eachText(ctx context.Context, zone string, records []libdns.Record, change func(name, value string) error) ([]libdns.Record, error) {
	for i, r := range records {
		txt, ok := r.(libdns.TXT)
		if !ok {
			return records[:i], fmt.Errorf("nameserver: %s record: only TXT records can be given", r.RR().Type)
		}
		if err := ctx.Err(); err != nil {
			return records[:i], fmt.Errorf("nameserver: %w", err)
		}
		if err := change(libdns.AbsoluteName(txt.Name, zone), txt.Text); err != nil {
			return records[:i], err
		}
	}
	return records, nil
}
