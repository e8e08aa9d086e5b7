package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates: for the clients of an API server, and for servers on
// loopback.
type Authority struct {
	// File holds its certificate, for Options.ClientCAFile.
	File string

	dir         string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewAuthority makes an authority that lives as long as the test.
func NewAuthority(t *testing.T) *Authority {
	t.Helper()
	a := &Authority{dir: t.TempDir(), key: newKey(t)}
	a.File = filepath.Join(a.dir, "ca.crt")
	template := &x509.Certificate{
		SerialNumber:          serialNumber(t),
		Subject:               pkix.Name{CommonName: "e2e"},
		NotBefore:             time.Now().Add(-time.Minute),
		NotAfter:              time.Now().Add(2 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	a.certificate = template
	a.certificate = a.sign(t, template, &a.key.PublicKey, a.File)
	return a
}

// Client makes a certificate for a user of the API server, in its groups.
func (a *Authority) Client(t *testing.T, user string, groups ...string) Credential {
	t.Helper()
	return a.issue(t, user, x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// Server makes a certificate for a server on loopback.
func (a *Authority) Server(t *testing.T, name string) Credential {
	t.Helper()
	return a.issue(t, name, x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		IPAddresses: []net.IP{net.ParseIP(loopback)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// issue fills in what all certificates have in common.
func (a *Authority) issue(t *testing.T, name string, template x509.Certificate) Credential {
	t.Helper()
	key := newKey(t)
	credential := Credential{
		CertificateFile: filepath.Join(a.dir, name+".crt"),
		KeyFile:         filepath.Join(a.dir, name+".key"),
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, credential.KeyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	template.SerialNumber = serialNumber(t)
	template.NotBefore = time.Now().Add(-time.Minute)
	template.NotAfter = time.Now().Add(2 * time.Hour)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	a.sign(t, &template, &key.PublicKey, credential.CertificateFile)
	return credential
}

func (a *Authority) sign(t *testing.T, template *x509.Certificate, public *ecdsa.PublicKey, path string) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, public, a.key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func serialNumber(t *testing.T) *big.Int {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		t.Fatal(err)
	}
	return serial
}
