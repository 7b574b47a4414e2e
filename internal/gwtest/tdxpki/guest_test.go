package tdxpki

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestGuestHoldsTogether(t *testing.T) {
	p := New(1, now)
	d := p.Collateral().Sign()
	tests := map[string]Guest{
		"default":             {},
		"version 5":           {V5: true},
		"MessagePack":         {Form: FormV1, EventV2: true},
		"legacy":              {Form: FormLegacy},
		"with a KMS's word":   {WithAppInfo: true},
		"one of another app":  {AppID: [20]byte{1}, InstanceID: [20]byte{2}, ComposeHash: [32]byte{3}, InitScripts: [][]byte{make([]byte, 32)}},
		"of another key made": {Key: p.Key("other")},
	}
	for name, g := range tests {
		m := p.Guest(g)
		if err := judge(t, p, m.Quote, d); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		leaf := m.Certificate.Leaf
		if bound := ReportData("ratls-cert", leaf.RawSubjectPublicKeyInfo); m.Attestation.ReportData != bound || !bytes.Contains(m.Quote, bound[:]) {
			t.Errorf("%s: the quote does not bind the certificate's key", name)
		}
		if rtmr := m.Log.RTMRs(); !bytes.Contains(m.Quote, bytes.Join([][]byte{rtmr[0][:], rtmr[1][:], rtmr[2][:], rtmr[3][:]}, nil)) {
			t.Errorf("%s: the quote does not have the log's registers", name)
		}
		evidence := payload(t, leaf, 8)
		if g.Form == FormLegacy {
			evidence = payload(t, leaf, 1)
			if !bytes.Equal(payload(t, leaf, 2), m.Log.JSON()) {
				t.Errorf("%s: another log is in the certificate", name)
			}
		}
		if g.Form != FormV1 && !bytes.Contains(evidence, m.Quote) {
			t.Errorf("%s: the quote is not in the certificate", name)
		}
		if !bytes.Equal(payload(t, leaf, 3), m.AppInfo.AppID) || string(payload(t, leaf, 4)) != UsageApp {
			t.Errorf("%s: app id %x, usage %s", name, payload(t, leaf, 3), payload(t, leaf, 4))
		}
		if g.WithAppInfo != bytes.Equal(payload(t, leaf, 9), m.AppInfo.Marshal()) {
			t.Errorf("%s: app info %x", name, payload(t, leaf, 9))
		}
	}
}

// payload opens the two OCTET STRINGs of an extension; nil if there is none.
func payload(t *testing.T, c *x509.Certificate, arc int) []byte {
	t.Helper()
	for _, x := range c.Extensions {
		if !x.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 62397, 1, arc}) {
			continue
		}
		var inner []byte
		if rest, err := asn1.Unmarshal(x.Value, &inner); err != nil || len(rest) > 0 || x.Critical {
			t.Fatalf("extension %d: %v, %d bytes left", arc, err, len(rest))
		}
		return inner
	}
	return nil
}

func TestGuestIsTheSameEachTime(t *testing.T) {
	one, two := New(1, now).Guest(Guest{}), New(1, now).Guest(Guest{})
	if !bytes.Equal(one.Certificate.Certificate[0], two.Certificate.Certificate[0]) {
		t.Error("one seed gave two certificates")
	}
}

func TestHooksChangeWhatComesAfterThem(t *testing.T) {
	p := New(1, now)
	d := p.Collateral().Sign()
	m := p.Guest(Guest{
		ChangeBoot: func(b *Boot) { b.AppID[0] ^= 1 },
		ChangeLog:  func(l Log) Log { return append(l, RuntimeEvent("late", nil)) },
		ChangeAttestation: func(a *Attestation) {
			a.Config = "{}"
		},
		ChangeCertificate: func(c *Certificate) { c.Usage = []byte("kms:rpc") },
	})
	if err := judge(t, p, m.Quote, d); err != nil {
		t.Error(err)
	}
	if last := m.Log[len(m.Log)-1]; last.Name != "late" || m.Attestation.Runtime[len(m.Attestation.Runtime)-1].Name != "late" {
		t.Errorf("last event is %s", last.Name)
	}
	leaf := m.Certificate.Leaf
	if bytes.Equal(payload(t, leaf, 3), m.AppInfo.AppID) || string(payload(t, leaf, 4)) != "kms:rpc" || m.Attestation.Config != "{}" {
		t.Error("a hook changed nothing, or too much")
	}
	m = p.Guest(Guest{ChangeSigned: func(q *Quote) { q.TD.MRTD[0] ^= 1 }})
	if err := judge(t, p, m.Quote, d); err == nil {
		t.Error("what was changed after signing was accepted")
	}
}

func TestGuestOfAnAuthorityIsAcceptedByTLS(t *testing.T) {
	p := New(1, now)
	root := &Certificate{Key: p.Key("ca"), Subject: "Test CA", NotBefore: p.Now.Add(-year), NotAfter: p.Now.Add(year)}
	template := root.template()
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	ca := root.sign(template, template, root.Key).Leaf
	m := p.Guest(Guest{CA: ca, CAKey: root.Key})

	pool := x509.NewCertPool()
	pool.AddCert(ca)
	clock := func() time.Time { return p.Now }
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close(); server.Close() })
	other := p.Guest(Guest{AppID: [20]byte{9}, CA: ca, CAKey: root.Key, ChangeCertificate: func(c *Certificate) { c.DNSNames = []string{"gateway"} }})
	done := make(chan error, 1)
	go func() {
		done <- tls.Client(client, &tls.Config{RootCAs: pool, ServerName: "gateway", Certificates: []tls.Certificate{m.Certificate}, Time: clock}).HandshakeContext(t.Context())
	}()
	s := tls.Server(server, &tls.Config{Certificates: []tls.Certificate{other.Certificate}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, Time: clock})
	if err := s.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := s.ConnectionState().PeerCertificates; len(got) != 2 || !bytes.Equal(payload(t, got[0], 3), m.AppInfo.AppID) {
		t.Errorf("%d certificates", len(got))
	}
}

func TestDuplicateExtensionIsIssued(t *testing.T) {
	m := New(1, now).Guest(Guest{ChangeCertificate: func(c *Certificate) { c.Extra = append(c.Extra, Extension(3, make([]byte, 20))) }})
	if _, err := x509.ParseCertificate(m.Certificate.Certificate[0]); err == nil || !strings.Contains(err.Error(), "duplicate") {
		t.Errorf("parsed: %v", err)
	}
}

func TestCompressedLogIsGzipBehindItsPrefix(t *testing.T) {
	log := bytes.Repeat([]byte("event"), 100)
	packed, ok := bytes.CutPrefix(Compress(log), []byte("ELGZv1"))
	if !ok {
		t.Fatal("no prefix")
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, log) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
