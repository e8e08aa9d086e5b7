package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

const (
	serverAuth = x509.ExtKeyUsageServerAuth
	clientAuth = x509.ExtKeyUsageClientAuth

	// clockSkew is how far before now a certificate begins, for machines whose
	// clocks are behind ours.
	clockSkew = 5 * time.Minute
)

// profile is what a serving or client certificate is for.
type profile struct {
	name         string // of its files
	purpose      x509.ExtKeyUsage
	commonName   string
	organization string
	hosts        []string
}

func (p profile) subject() pkix.Name {
	name := pkix.Name{CommonName: p.commonName}
	if p.organization != "" {
		name.Organization = []string{p.organization}
	}
	return name
}

// template is the certificate but for times, serial number and keys. An ECDSA
// key only signs handshakes, so digitalSignature is its whole use (RFC 5480 §3).
func (p profile) template() *x509.Certificate {
	template := &x509.Certificate{
		Subject:               p.subject(),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{p.purpose},
		BasicConstraintsValid: true, // states that this is no CA
	}
	for _, host := range p.hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return template
}

// newAuthority makes a self-signed authority that signs certificates but no
// further authorities: pathLenConstraint 0 (RFC 5280 §4.2.1.9).
func newAuthority(now time.Time, validity time.Duration) (*pair, error) {
	return create(&x509.Certificate{
		Subject:               pkix.Name{CommonName: "tokenreview-webhook-ca"},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(validity),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}, nil)
}

// issue makes a pair signed by p. It does not outlive p, since nobody would
// accept it then.
func (p *pair) issue(want profile, now time.Time, validity time.Duration) (*pair, error) {
	template := want.template()
	template.NotBefore = now.Add(-clockSkew)
	template.NotAfter = now.Add(validity)
	if template.NotAfter.After(p.cert.NotAfter) {
		template.NotAfter = p.cert.NotAfter
	}
	return create(template, p)
}

// create completes the template with a new key, identifiers and serial number
// and has it signed by the issuer, or by itself if that is nil.
func create(template *x509.Certificate, issuer *pair) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	if template.SubjectKeyId, err = keyID(key.Public()); err != nil {
		return nil, fmt.Errorf("identify key: %w", err)
	}
	if template.SerialNumber, err = serialNumber(); err != nil {
		return nil, fmt.Errorf("generate serial number: %w", err)
	}
	parent, signer := template, crypto.Signer(key)
	if issuer != nil {
		parent, signer = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read back: %w", err)
	}
	return &pair{
		certPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		keyPEM:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
		cert:    cert,
		key:     key,
	}, nil
}

// serialNumber is random and of at most 128 bits, which is unique without a
// register of those given out and fits 20 octets (RFC 5280 §4.1.2.2). Zero is
// no serial number.
func serialNumber() (*big.Int, error) {
	limit := new(big.Int).Lsh(big.NewInt(1), 128)
	n, err := rand.Int(rand.Reader, limit.Sub(limit, big.NewInt(1)))
	if err != nil {
		return nil, err
	}
	return n.Add(n, big.NewInt(1)), nil
}

// keyID is the subject key identifier: the first 160 bits of the SHA-256 of the
// public key's bit string (RFC 7093 §2, method 1).
func keyID(public crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		PublicKey asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(info.PublicKey.Bytes)
	return sum[:20], nil
}
