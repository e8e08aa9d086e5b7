package reviewclient

import (
	"crypto/tls"
	"errors"
	"fmt"

	"k8s.io/client-go/rest"

	"tokenreview.dev/webhook/internal/redact"
	"tokenreview.dev/webhook/internal/regularfile"
)

// maxFileBytes bounds each file. Real ones stay below 64 KiB.
const maxFileBytes = 1 << 20

// tls is how the server is proven, and who asks. client-go makes it of what the files
// hold, as for kubectl's flags of the same names.
func (o *Options) tls() (*tls.Config, error) {
	if (o.ClientCertificate == "") != (o.ClientKey == "") {
		return nil, errors.New("--client-certificate and --client-key go together")
	}
	var client rest.TLSClientConfig
	for _, file := range []struct {
		flag, path string
		data       *[]byte
	}{
		{"--certificate-authority", o.CertificateAuthority, &client.CAData},
		{"--client-certificate", o.ClientCertificate, &client.CertData},
		{"--client-key", o.ClientKey, &client.KeyData},
	} {
		if file.path == "" {
			continue
		}
		data, err := regularfile.Read(file.path, maxFileBytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %s", file.flag, redact.Line(err.Error()))
		}
		if len(data) == 0 {
			// Or the system's roots would be trusted, or nobody would ask.
			return nil, fmt.Errorf("%s: %s is empty", file.flag, redact.Line(file.path))
		}
		*file.data = data
	}
	if client.CertData != nil {
		if _, err := tls.X509KeyPair(client.CertData, client.KeyData); err != nil {
			return nil, fmt.Errorf("--client-certificate, --client-key: %w", err)
		}
	}
	client.ServerName = o.TLSServerName
	config, err := rest.TLSConfigFor(&rest.Config{TLSClientConfig: client})
	if err != nil {
		return nil, fmt.Errorf("--certificate-authority: %w", err)
	}
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return config, nil
}
