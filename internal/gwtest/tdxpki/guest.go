package tdxpki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// A Form is how evidence is put into a certificate.
type Form int

// The forms of evidence.
const (
	FormV0     Form = iota // .8, SCALE, stripped
	FormV1                 // .8, MessagePack, stripped
	FormLegacy             // .1 and .2, with the whole log
	FormNone               // no evidence
)

// A Guest is a confidential VM of dstack's that is to be made. The zero value is
// a good one. The hooks may be nil; each sees what was made so far, and what it
// changes is in everything that is made later.
type Guest struct {
	AppID       [20]byte
	InstanceID  [20]byte
	ComposeHash [32]byte
	OSImageHash [32]byte
	InitScripts [][]byte
	KeyProvider string            // JSON; zero: a KMS of this world
	Key         *ecdsa.PrivateKey // the certificate's; zero: one of this instance's own

	V5          bool // a quote of version 5
	EventV2     bool // digests of version 2
	Form        Form
	WithAppInfo bool // a KMS's word (.9) beside the evidence

	// CA signs the certificate with CAKey; nil: it is self-signed. Above are the
	// certificates above CA, to be shown.
	CA    *x509.Certificate
	CAKey crypto.Signer
	Above []*x509.Certificate

	ChangeBoot        func(*Boot)
	ChangeLog         func(Log) Log      // before registers are computed from it
	ChangeQuote       func(*Quote)       // before it is signed
	ChangeSigned      func(*Quote)       // after it was signed
	ChangeAttestation func(*Attestation) // before it is stripped
	ChangePacked      func(*Attestation) // after it was stripped; not of FormLegacy
	ChangeCertificate func(*Certificate) // before it is signed
}

// A Machine is a guest that was made.
type Machine struct {
	Key         *ecdsa.PrivateKey
	Log         Log // whole, as measured
	Quote       []byte
	Attestation Attestation // whole
	// AppInfo is what the evidence of an intact guest proves, except
	// the device id: that is a KMS's (see Derive).
	AppInfo     AppInfo
	Certificate tls.Certificate
}

// Evidence returns the extensions of the certificate that are evidence: .1, .2 and .8.
func (m *Machine) Evidence() (list []pkix.Extension) {
	for _, e := range m.Certificate.Leaf.Extensions {
		for _, arc := range []int{1, 2, 8} {
			if e.Id.Equal(Extension(arc, nil).Id) {
				list = append(list, e)
			}
		}
	}
	return list
}

// Guest makes a machine: its log, a quote that binds the certificate's key and
// the log's registers, the evidence of both, and the certificate of a client
// and server that carries it. It may be called concurrently.
func (p *PKI) Guest(g Guest) *Machine {
	p.fill(&g)
	boot := g.boot()
	call(g.ChangeBoot, &boot)
	m := &Machine{Key: g.Key, Log: p.Log(boot, g.eventVersion())}
	if g.ChangeLog != nil {
		m.Log = g.ChangeLog(m.Log)
	}
	c := p.clientCertificate(g)

	q := p.quoteOf(g, m.Log, ReportData("ratls-cert", c.SPKI()))
	call(g.ChangeQuote, q)
	q.Build()
	call(g.ChangeSigned, q)
	m.Quote = q.Encode()

	m.Attestation = Attestation{
		Quote: m.Quote, Log: m.Log, Runtime: m.Log.Runtime(), ReportData: q.TD.ReportData,
		Config: config(boot.OSImageHash),
	}
	call(g.ChangeAttestation, &m.Attestation)
	m.AppInfo = Derive(&q.TD, m.Log, boot.OSImageHash)
	g.put(m, c)
	call(g.ChangeCertificate, c)
	if g.CA == nil {
		m.Certificate = c.SelfSigned()
	} else {
		m.Certificate = c.SignedBy(g.CA, g.CAKey, g.Above...)
	}
	return m
}

// fill gives a guest what it was not given.
func (p *PKI) fill(g *Guest) {
	if g.ComposeHash == [32]byte{} {
		g.ComposeHash = [32]byte(p.bytes([]byte("compose"), 32))
	}
	if g.AppID == [20]byte{} {
		g.AppID = [20]byte(g.ComposeHash[:]) // as dstack names an app by its first version
	}
	if g.InstanceID == [20]byte{} {
		g.InstanceID = [20]byte(p.bytes([]byte("vm"), 20))
	}
	if g.OSImageHash == [32]byte{} {
		g.OSImageHash = [32]byte(p.bytes([]byte("image"), 32))
	}
	if g.KeyProvider == "" {
		g.KeyProvider = KMSProvider(must(x509.MarshalPKIXPublicKey(&p.Key("kms").PublicKey)))
	}
	if g.Key == nil {
		g.Key = p.Key(fmt.Sprintf("guest %x %x", g.AppID, g.InstanceID))
	}
}

// boot is what is measured; its bytes are its own.
func (g Guest) boot() Boot {
	return Boot{
		AppID: g.AppID[:], ComposeHash: g.ComposeHash[:], InitScripts: g.InitScripts, InstanceID: g.InstanceID[:],
		OSImageHash: g.OSImageHash[:], KeyProvider: g.KeyProvider, StorageFS: "zfs",
	}
}

func (g Guest) eventVersion() int {
	if g.EventV2 {
		return 2
	}
	return 1
}

// quoteOf is a quote with the log's registers. The VMM has set mr_config_id to
// the compose hash, in its form 1.
func (p *PKI) quoteOf(g Guest, l Log, reportData [64]byte) *Quote {
	q := p.Quote()
	if g.V5 {
		q = p.QuoteV5()
	}
	q.TD.RTMR, q.TD.ReportData = l.RTMRs(), reportData
	q.TD.MRConfigID[0] = 1
	copy(q.TD.MRConfigID[1:], g.ComposeHash[:])
	return q
}

func (p *PKI) clientCertificate(g Guest) *Certificate {
	return &Certificate{
		Key: g.Key, Subject: "dstack-guest-agent",
		NotBefore: p.Now.Add(-day), NotAfter: p.Now.Add(10 * day),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		AppID:       g.AppID[:], Usage: []byte(UsageApp),
	}
}

// put puts a machine's evidence into its certificate.
func (g Guest) put(m *Machine, c *Certificate) {
	packed := m.Attestation.Strip()
	call(g.ChangePacked, &packed)
	switch g.Form {
	case FormV0:
		c.Attestation = packed.V0()
	case FormV1:
		c.Attestation = packed.V1()
	case FormLegacy:
		c.Quote, c.EventLog = m.Attestation.Quote, m.Attestation.Log.JSON()
	case FormNone:
	}
	if g.WithAppInfo {
		c.AppInfo = m.AppInfo.Marshal()
	}
}

// config is a guest's host configuration: the image's hash is in a JSON text
// inside the JSON.
func config(image []byte) string {
	vm := must(json.Marshal(struct {
		OSImageHash string `json:"os_image_hash"`
		CPUCount    int    `json:"cpu_count"`
		MemorySize  int64  `json:"memory_size"`
	}{hex.EncodeToString(image), 8, 16 << 30}))
	return string(must(json.Marshal(struct {
		KMSURLs     []string `json:"kms_urls"`
		GatewayURLs []string `json:"gateway_urls"`
		PCCSURL     string   `json:"pccs_url"`
		HostAPIURL  string   `json:"host_api_url"`
		VMConfig    string   `json:"vm_config"`
	}{[]string{"https://kms.example.com:12001"}, []string{"https://gateway.example.com:12002"}, "", "vsock://2:12000/api", string(vm)})))
}

func call[T any](hook func(*T), v *T) {
	if hook != nil {
		hook(v)
	}
}
