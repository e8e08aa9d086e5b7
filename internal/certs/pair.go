package certs

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

// pair is a certificate and its private key, as read from files or just made.
type pair struct {
	certPEM, keyPEM []byte
	cert            *x509.Certificate
	// key is nil where only the certificate was found, as may be with an authority.
	key crypto.Signer
}

// readPair reads NAME.crt and NAME.key, and leaves nil what is missing. It is nil
// where both are.
func (d directory) readPair(name string) (*pair, error) {
	certPEM, err := d.read(name+".crt", permPublic)
	if err != nil {
		return nil, err
	}
	keyPEM, err := d.read(name+".key", permPrivate)
	if err != nil {
		return nil, err
	}
	if certPEM == nil && keyPEM == nil {
		return nil, nil
	}
	return &pair{certPEM: certPEM, keyPEM: keyPEM}, nil
}

// parse makes sense of the certificate and of the key, if there is one. Its
// errors say which of the two files is bad.
func (p *pair) parse(crtPath, keyPath string) (err error) {
	if p.cert, err = parseCertificate(p.certPEM); err != nil {
		return fmt.Errorf("%s: %w", crtPath, err)
	}
	if p.keyPEM == nil {
		return nil
	}
	both, err := tls.X509KeyPair(p.certPEM, p.keyPEM)
	if err != nil {
		return fmt.Errorf("%s: does not go with %s: %w", keyPath, crtPath, err)
	}
	p.key = both.PrivateKey.(crypto.Signer) // which tls.Certificate promises
	return nil
}

// parseCertificate wants exactly one: a chain or a bundle is not of our making.
func parseCertificate(data []byte) (*x509.Certificate, error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("holds no PEM certificate")
	}
	if more, _ := pem.Decode(rest); more != nil {
		return nil, errors.New("holds more than one PEM block, want one certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}

// checkAuthority says why the certificate cannot sign others, if it cannot.
func (p *pair) checkAuthority(now time.Time) error {
	if !p.cert.BasicConstraintsValid || !p.cert.IsCA {
		return errors.New("is not a certificate authority (RFC 5280 §4.2.1.9)")
	}
	if p.cert.KeyUsage&x509.KeyUsageCertSign == 0 {
		return errors.New("may not sign certificates (RFC 5280 §4.2.1.3)")
	}
	return checkTime(p.cert, now)
}

// check says why the pair does not serve its purpose, if it does not.
func (p *pair) check(want profile, ca *x509.Certificate, now time.Time) error {
	if err := checkTime(p.cert, now); err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	_, err := p.cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{want.purpose}})
	if err != nil {
		return fmt.Errorf("is not a certificate of this CA for this purpose: %w", err)
	}
	// The webhook knows its callers by their subject, and its callers know it by
	// its alternative names.
	if want.purpose == clientAuth && p.cert.Subject.String() != want.subject().String() {
		return fmt.Errorf("belongs to %q, want %q", p.cert.Subject, want.subject())
	}
	var lacking []string
	for _, host := range want.hosts {
		if p.cert.VerifyHostname(host) != nil {
			lacking = append(lacking, host)
		}
	}
	if len(lacking) > 0 {
		return fmt.Errorf("is not valid for host %s", strings.Join(lacking, ", "))
	}
	return nil
}

func checkTime(cert *x509.Certificate, now time.Time) error {
	switch {
	case now.After(cert.NotAfter):
		return fmt.Errorf("expired at %s", cert.NotAfter.Format(time.RFC3339))
	case now.Before(cert.NotBefore):
		return fmt.Errorf("is not valid before %s", cert.NotBefore.Format(time.RFC3339))
	}
	return nil
}
