package ratls_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"time"

	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls"
	"sallyport/ratls/pccs"
)

// A vm is an HTTPS server that proves to run an app, and what its clients need to know.
// Its hardware, its KMS and Intel are simulated.
type vm struct {
	url        string
	app        ratls.AppID
	kmsRoot    []byte // PEM
	collateral pccs.Options
	intel      *x509.Certificate // in place of Intel's root
	stop       func()
}

func startVM() *vm {
	world := tdxpki.New(1, time.Now())
	m := world.Guest(tdxpki.Guest{})
	evidence, err := ratls.EvidenceOf(m.Certificate.Leaf)
	check(err)
	extensions, err := ratls.Extensions{Attestation: evidence.Attestation}.Marshal()
	check(err)
	kms, err := ratls.NewAuthority()
	check(err)
	app := ratls.AppID(m.AppInfo.AppID)
	certificate, err := kms.Issue(ratls.Request{AppID: app, Key: m.Key, Server: true, ExtraExtensions: extensions})
	check(err)
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	intel := httptest.NewServer(world.PCCS(tdxpki.Dialect{}))
	return &vm{
		url:        server.URL,
		app:        app,
		kmsRoot:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: kms.Root().Raw}),
		collateral: pccs.Options{URLs: []string{intel.URL}, Root: world.Root.Cert()},
		intel:      world.Root.Cert(),
		stop:       func() { server.Close(); intel.Close() },
	}
}
