// Command outside is a program of another module that verifies a peer: see outside_test.go.
package main

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"os"
	"time"

	"sallyport/ratls"
	"sallyport/ratls/pccs"
)

// The arguments are a URL, the files of a root in place of Intel's, of its collateral and of
// the KMS's root, and the time for which the collateral is valid.
func main() {
	url, now := os.Args[1], os.Args[5]
	root := certificate(os.Args[2])
	collateral, err := pccs.File(os.Args[3], root)
	check(err)
	at, err := time.Parse(time.RFC3339, now)
	check(err)
	verifier, err := ratls.NewVerifier(ratls.VerifierOptions{
		Collateral: collateral, Root: root, Now: func() time.Time { return at },
	})
	check(err)
	roots := x509.NewCertPool()
	roots.AddCert(certificate(os.Args[4]))
	answer, err := verifier.HTTPClient(ratls.Peer{Roots: roots}).Get(url)
	check(err)
	defer answer.Body.Close()
	_, err = io.Copy(os.Stdout, answer.Body)
	check(err)
}

func certificate(file string) *x509.Certificate {
	data, err := os.ReadFile(file)
	check(err)
	block, _ := pem.Decode(data)
	cert, err := x509.ParseCertificate(block.Bytes)
	check(err)
	return cert
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
