package caa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"
)

// How records are exchanged:
//
//  1. guards are added: issue ";" and issuewild ";" permit no authority
//  2. old records that are not wanted go
//  3. wanted records that are not there come
//  4. the guards go
//
// Without guards there would be a moment between 2 and 3 without a record, in which
// every authority may issue to everybody. If it fails half-way the guards stay:
// no authority can issue then, and another run repairs it.

// A Provider changes the CAA records of zones. Zones have a dot at their end, names
// are relative to their zone.
type Provider interface {
	libdns.RecordAppender
	libdns.RecordDeleter

	// CAARecords reads the CAA records at name from the provider itself, not from a
	// cache. It returns them with this name.
	CAARecords(ctx context.Context, zone, name string) ([]libdns.CAA, error)
}

// ttl of the records: short enough to follow a change of the account.
const ttl = 10 * time.Minute

// Set makes records the only issue and issuewild records at their name, which must
// be one, in zone. Records with other tags stay as they are. If it fails it may leave
// the domain closed for all authorities, and must be run again; it never leaves it
// open.
func Set(ctx context.Context, p Provider, zone string, records []Record) error {
	if len(records) == 0 {
		return errors.New("set CAA records: none are given")
	}
	s := setting{provider: p, zone: dns.CanonicalName(zone), name: records[0].Name}
	var want []libdns.CAA
	for _, r := range records {
		if r.Name != s.name || !dns.IsSubDomain(s.zone, r.Name) || r.Flags != 0 || r.Tag != tagIssue && r.Tag != tagIssueWild {
			return fmt.Errorf("set CAA records: %s: want issue and issuewild at one name in zone %s", r, s.zone)
		}
		want = append(want, s.record(r.Tag, r.Value))
	}
	if err := s.exchange(ctx, want); err != nil {
		return fmt.Errorf("set CAA records at %s: %w", s.name, err)
	}
	return nil
}

type setting struct {
	provider   Provider
	zone, name string
}

func (s setting) record(tag, value string) libdns.CAA {
	return libdns.CAA{Name: libdns.RelativeName(s.name, s.zone), TTL: ttl, Tag: tag, Value: value}
}

func (s setting) exchange(ctx context.Context, want []libdns.CAA) error {
	all, err := s.provider.CAARecords(ctx, s.zone, libdns.RelativeName(s.name, s.zone))
	if err != nil {
		return err
	}
	there := slices.DeleteFunc(all, func(r libdns.CAA) bool {
		return !strings.EqualFold(r.Tag, tagIssue) && !strings.EqualFold(r.Tag, tagIssueWild)
	})
	guards := []libdns.CAA{s.record(tagIssue, ";"), s.record(tagIssueWild, ";")}
	old := without(there, append(slices.Clone(want), guards...))
	missing := without(want, there)
	standing := without(there, without(there, guards)) // guards of a run that failed
	if len(old) == 0 && len(missing) == 0 && len(without(standing, want)) == 0 {
		return nil
	}
	if err := s.add(ctx, without(guards, there)); err != nil {
		return fmt.Errorf("add guards: %w", err)
	}
	if err := s.remove(ctx, old); err != nil {
		return fmt.Errorf("remove old records: %w; no authority may issue until this command succeeds", err)
	}
	if err := s.add(ctx, missing); err != nil {
		return fmt.Errorf("add new records: %w; no authority may issue until this command succeeds", err)
	}
	if err := s.remove(ctx, without(guards, want)); err != nil {
		return fmt.Errorf("remove guards, which do no harm beside the new records: %w; run this again", err)
	}
	return nil
}

// without are those of list that say something else than all of others.
func without(list, others []libdns.CAA) []libdns.CAA {
	return slices.DeleteFunc(slices.Clone(list), func(a libdns.CAA) bool {
		return slices.ContainsFunc(others, func(b libdns.CAA) bool {
			return a.Flags == b.Flags && strings.EqualFold(a.Tag, b.Tag) && a.Value == b.Value
		})
	})
}

func (s setting) add(ctx context.Context, list []libdns.CAA) error {
	if len(list) == 0 {
		return nil
	}
	_, err := s.provider.AppendRecords(ctx, s.zone, generic(list))
	return err
}

func (s setting) remove(ctx context.Context, list []libdns.CAA) error {
	if len(list) == 0 {
		return nil
	}
	_, err := s.provider.DeleteRecords(ctx, s.zone, generic(list))
	return err
}

func generic(list []libdns.CAA) []libdns.Record {
	records := make([]libdns.Record, len(list))
	for i, r := range list {
		records[i] = r
	}
	return records
}
