package nameserver

import (
	"context"
	"fmt"

	"github.com/libdns/libdns"
)

// A Server is also a provider for package dns01. So it serves domains whose challenges
// are aliases to names in its zones, and which have no zone of their own here:
//
//	_acme-challenge.www.customer.example  CNAME  www.acme.gw.example.
//
// dns01 follows the alias, finds the zone, and waits until the record can be seen from
// the network. That also checks that the parent delegates to this server.
var (
	_ libdns.RecordAppender = (*Server)(nil)
	_ libdns.RecordDeleter  = (*Server)(nil)
)

// AppendRecords presents TXT records, and refuses others. It ignores their TTL.
func (s *Server) AppendRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return eachText(ctx, zone, records, s.Present)
}

// DeleteRecords cleans up TXT records. A record that does not exist is not an error.
func (s *Server) DeleteRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return eachText(ctx, zone, records, s.CleanUp)
}

// eachText calls change for each record, and returns the records before the first failure.
func eachText(ctx context.Context, zone string, records []libdns.Record, change func(name, value string) error) ([]libdns.Record, error) {
	for i, r := range records {
		txt, ok := r.(libdns.TXT)
		if !ok {
			return records[:i], fmt.Errorf("nameserver: %s record: want only TXT records", r.RR().Type)
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
