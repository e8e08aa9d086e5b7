package cluster

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// clientCA is the file that the webhook reads its callers' CA from. It begins as
// another ca.crt, so that it can be replaced while `certs init` goes on with that.
const clientCA = "client-ca.crt"

func (w *Webhook) certificate(name string) string { return filepath.Join(w.certificates, name) }

func (w *Webhook) initCertificates(t *testing.T, flags ...string) {
	t.Helper()
	w.Run(t, append([]string{"certs", "init", "--dir", w.certificates, "--server", url("https", w.port, "/authenticate")}, flags...)...).Must(t)
}

// RenewServingCertificate has the same authority sign another serving
// certificate, in the files that the running webhook reads.
func (w *Webhook) RenewServingCertificate(t *testing.T) {
	t.Helper()
	w.initCertificates(t, "--renew")
}

// ReissueClientCA replaces the certificate of the callers' CA by another of the same
// name and key, and returns when that ends. What the CA has signed stays good.
func (w *Webhook) ReissueClientCA(t *testing.T, validity time.Duration) (notAfter time.Time) {
	t.Helper()
	authority, err := tls.LoadX509KeyPair(w.certificate("ca.crt"), w.certificate("ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	template := *authority.Leaf
	template.SerialNumber = serialNumber(t)
	template.NotAfter = time.Now().Add(validity).Truncate(time.Second)
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, template.PublicKey, authority.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write(t, w.certificate(clientCA), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return template.NotAfter
}

// ServingCertificate is the serial number of the certificate that the webhook
// shows to a new connection.
func (w *Webhook) ServingCertificate(ctx context.Context) (*big.Int, error) {
	authority, err := os.ReadFile(w.certificate("ca.crt"))
	if err != nil {
		return nil, err
	}
	config, err := trusting(authority)
	if err != nil {
		return nil, err
	}
	dialer := tls.Dialer{Config: config}
	ctx, cancel := context.WithTimeout(ctx, getTimeout)
	defer cancel()
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(loopback, strconv.Itoa(w.port)))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber, nil
}
