package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/util/cert"
)

// certificates is the serving pair and the client CA, read again when their files
// change.
type certificates struct {
	serving    *dynamiccertificates.DynamicCertKeyPairContent
	clientCA   *dynamiccertificates.DynamicFileCAContent
	controller *dynamiccertificates.DynamicServingCertificateController
	config     *tls.Config
}

func loadCertificates(options Options, log *slog.Logger) (*certificates, error) {
	if options.CertFile == "" || options.KeyFile == "" {
		return nil, errors.New("--tls-cert-file and --tls-private-key-file are required; webhook certs init makes a pair")
	}
	c := &certificates{}
	var err error
	if c.serving, err = dynamiccertificates.NewDynamicServingContentFromFiles("serving", options.CertFile, options.KeyFile); err != nil {
		return nil, fmt.Errorf("serving certificate: %w", err)
	}
	base := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	var clientCA dynamiccertificates.CAContentProvider
	switch {
	case options.ClientCAFile != "":
		if c.clientCA, err = dynamiccertificates.NewDynamicCAContentFromFile("client-ca", options.ClientCAFile); err != nil {
			return nil, fmt.Errorf("client CA: %w", err)
		}
		clientCA = c.clientCA
		// tokenreview.Callers verifies what is requested here.
		base.ClientAuth = tls.RequestClientCert
	case !options.AllowAnyCaller:
		return nil, errors.New("--client-ca-file is required, or anybody who reaches the port could try tokens; --insecure-allow-any-caller lifts this")
	default:
		log.Warn("any caller is let in: --insecure-allow-any-caller")
	}
	c.controller = dynamiccertificates.NewDynamicServingCertificateController(base, clientCA, c.serving, nil, nil)
	if err := c.controller.RunOnce(); err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	c.serving.AddListener(c.controller)
	c.serving.AddListener(reloadLog{log: log, what: "serving certificate", expiry: c.servingExpiry})
	if c.clientCA != nil {
		c.clientCA.AddListener(c.controller)
		c.clientCA.AddListener(reloadLog{log: log, what: "client CA", expiry: c.clientCAExpiry})
	}
	c.config = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: base.NextProtos, GetConfigForClient: c.controller.GetConfigForClient}
	return c, nil
}

func (c *certificates) run(ctx context.Context) {
	go c.controller.Run(1, ctx.Done())
	go c.serving.Run(ctx, 1)
	if c.clientCA != nil {
		go c.clientCA.Run(ctx, 1)
	}
}

// servingExpiry is when the serving certificate ends, zero if it is not known.
func (c *certificates) servingExpiry() time.Time {
	pem, _ := c.serving.CurrentCertKeyContent()
	return firstExpiry(pem)
}

// clientCAExpiry is when the first of the client CAs ends, zero if there is none.
func (c *certificates) clientCAExpiry() time.Time {
	if c.clientCA == nil {
		return time.Time{}
	}
	return firstExpiry(c.clientCA.CurrentCABundleContent())
}

func firstExpiry(pem []byte) time.Time {
	chain, err := cert.ParseCertsPEM(pem)
	if err != nil {
		return time.Time{}
	}
	return minNotAfter(chain)
}

func minNotAfter(chain []*x509.Certificate) time.Time {
	first := chain[0].NotAfter
	for _, certificate := range chain[1:] {
		if certificate.NotAfter.Before(first) {
			first = certificate.NotAfter
		}
	}
	return first
}

// reloadLog is a dynamiccertificates.Listener that tells people.
type reloadLog struct {
	log    *slog.Logger
	what   string
	expiry func() time.Time
}

func (l reloadLog) Enqueue() {
	l.log.Info("certificate loaded from its changed file", "certificate", l.what, "expires", l.expiry().UTC().Format(time.RFC3339))
}
