package ratls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"sallyport/internal/hostname"
)

// An Authority issues certificates like the KMS of dstack, where there is no KMS: for servers
// that are not CVMs, tests, and demonstrations. It requires no evidence: the holder of its
// key decides what the certificates say.
//
//	root         O=Dstack, CN=Dstack KMS CA    kept
//	└ app CA     O=Dstack, CN=Dstack App CA    derived from the root's key and the app id
//	  └ leaf     CN as asked
//
// Its methods may be called concurrently.
type Authority struct {
	root *x509.Certificate
	key  *ecdsa.PrivateKey
}

// rootYears is the validity of a root.
const rootYears = 10

// birth is the beginning of all certificates, as those of a KMS: a CVM whose clock is not
// yet set can use them.
func birth() time.Time { return time.Date(1975, 1, 1, 0, 0, 0, 0, time.UTC) }

// NewAuthority returns an authority with a new key and a root that is valid for 10 years.
func NewAuthority() (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"Dstack"}, CommonName: "Dstack KMS CA"},
		NotBefore:             birth(),
		NotAfter:              time.Now().AddDate(rootYears, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLen:            1,
	}
	root, err := sign(template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	return &Authority{root: root, key: key}, nil
}

// Root returns the certificate that others must trust.
func (a *Authority) Root() *x509.Certificate { return a.root }

// A Request describes a certificate.
type Request struct {
	AppID   AppID    // whose authority issues it; required
	AppInfo *AppInfo // nil: without; AppInfo.AppID is not compared with AppID
	Subject string   // common name
	Names   []string // host names and IP addresses of a server
	// Server and Client are the extended key usages. With neither, the certificate is
	// valid for any use.
	Server, Client bool
	// NotAfter is the end of validity. Zero, or a time after the root's end, is the root's.
	NotAfter time.Time
	// Key is the certificate's key; nil is a new one.
	Key *ecdsa.PrivateKey
	// ExtraExtensions, such as evidence, are added unchanged. Each replaces the extension
	// with its identifier.
	ExtraExtensions []pkix.Extension
}

// Issue returns a certificate. Its chain is leaf, app CA, root, as a dstack guest sends it.
// It returns an error if r has no AppID or an invalid name, or the authority has expired.
func (a *Authority) Issue(r Request) (tls.Certificate, error) {
	cert, err := a.issue(r)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("issue certificate: %w", err)
	}
	return cert, nil
}

func (a *Authority) issue(r Request) (tls.Certificate, error) {
	if end := a.root.NotAfter; time.Now().After(end) {
		return tls.Certificate{}, fmt.Errorf("the authority expired on %s: make a new one", end.Format(time.DateOnly))
	}
	if r.Key == nil {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return tls.Certificate{}, err
		}
		r.Key = key
	}
	ca, caKey, err := a.appCA(r.AppID)
	if err != nil {
		return tls.Certificate{}, err
	}
	template, err := a.leafTemplate(r)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := sign(template, ca, &r.Key.PublicKey, caKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{
		Certificate: [][]byte{leaf.Raw, ca.Raw, a.root.Raw},
		PrivateKey:  r.Key,
		Leaf:        leaf,
	}, nil
}

func (a *Authority) leafTemplate(r Request) (*x509.Certificate, error) {
	t := &x509.Certificate{
		Subject:   pkix.Name{CommonName: r.Subject},
		NotBefore: birth(),
		NotAfter:  r.NotAfter,
		KeyUsage:  x509.KeyUsageDigitalSignature,
	}
	if r.NotAfter.IsZero() || r.NotAfter.After(a.root.NotAfter) {
		t.NotAfter = a.root.NotAfter
	}
	for _, name := range r.Names {
		switch ip := net.ParseIP(name); {
		case ip != nil:
			t.IPAddresses = append(t.IPAddresses, ip)
		case hostname.Valid(name):
			t.DNSNames = append(t.DNSNames, name)
		default: // a URL, a port, a wildcard: nobody would find the certificate right
			return nil, fmt.Errorf("%q is neither a host name nor an IP address", name)
		}
	}
	if r.Server {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	if r.Client {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	own, err := Extensions{AppID: r.AppID, Usage: UsageApp, AppInfo: r.AppInfo}.Marshal()
	if err != nil {
		return nil, err
	}
	replaced := func(x pkix.Extension) bool {
		return slices.ContainsFunc(r.ExtraExtensions, func(y pkix.Extension) bool { return x.Id.Equal(y.Id) })
	}
	t.ExtraExtensions = append(slices.DeleteFunc(own, replaced), r.ExtraExtensions...)
	return t, nil
}

// appCA returns the authority of one app. It has the same key each time, so nothing has to
// be stored for it.
func (a *Authority) appCA(app AppID) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	if app.IsZero() {
		return nil, nil, errors.New("no app id")
	}
	key, err := a.appKey(app)
	if err != nil {
		return nil, nil, err
	}
	extensions, err := Extensions{AppID: app, Usage: UsageAppCA}.Marshal()
	if err != nil {
		return nil, nil, err
	}
	ca, err := sign(&x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"Dstack"}, CommonName: "Dstack App CA"},
		NotBefore:             birth(),
		NotAfter:              a.root.NotAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
		ExtraExtensions:       extensions,
	}, a.root, &key.PublicKey, a.key)
	return ca, key, err
}

// appKey derives an app CA's key as the KMS does (HKDF, RFC 5869).
func (a *Authority) appKey(app AppID) (*ecdsa.PrivateKey, error) {
	secret, err := a.key.Bytes()
	if err != nil {
		return nil, err
	}
	scalar, err := hkdf.Key(sha256.New, secret, []byte("RATLS"), string(app[:])+"app-ca", 32)
	if err != nil {
		return nil, err
	}
	// One scalar in 2^32 is above the order of P-256. Such an app has no
	// authority here, and needs another id.
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
	if err != nil {
		return nil, fmt.Errorf("cannot derive a key for app %s, choose another app id: %w", app, err)
	}
	return key, nil
}

// sign makes a certificate without an authority key identifier: those of a KMS
// have none, and verifiers must accept many CAs with one name.
func sign(template, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	nameless := *parent
	nameless.SubjectKeyId = nil
	der, err := x509.CreateCertificate(rand.Reader, template, &nameless, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
