package certs

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Options say what Init makes. Start from DefaultOptions.
type Options struct {
	// Dir is the folder of the files, created with mode 0700 if missing.
	Dir string
	// Hosts are the IP addresses and DNS names the serving certificate is valid
	// for, its subject alternative names (RFC 5280 §4.2.1.6).
	Hosts []string
	// Server is where kube-apiserver finds the webhook: an https URL whose host is
	// one of Hosts and whose path is the webhook's endpoint.
	Server string
	// Validity is how long new serving and client certificates are valid, at most
	// as long as the authority. Certificates count whole seconds.
	Validity time.Duration
	// CAValidity is how long a new authority is valid.
	CAValidity time.Duration
	// EmbedCerts puts certificates and key into the kubeconfig. Otherwise it names
	// the files, relative to itself, and kube-apiserver takes up a renewed client
	// pair without a restart.
	EmbedCerts bool
	// Renew replaces the serving and client pairs and the kubeconfig, good or not,
	// and keeps the authority.
	Renew bool
	// Now tells the time; nil is time.Now.
	Now func() time.Time
}

// DefaultOptions are those of a webhook beside the API server, on loopback: an
// authority for ten years, pairs for one, and a kubeconfig that needs no other file.
func DefaultOptions(dir string) Options {
	const year = 365 * 24 * time.Hour
	return Options{
		Dir:        dir,
		Hosts:      []string{"127.0.0.1", "::1", "localhost"},
		Server:     "https://127.0.0.1:8443/authenticate",
		Validity:   year,
		CAValidity: 10 * year,
		EmbedCerts: true,
	}
}

func (o Options) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

// validate reports everything that is wrong, by the names of the flags.
func (o Options) validate() error {
	var errs []error
	if o.Dir == "" {
		errs = append(errs, errors.New("dir: must not be empty"))
	}
	if len(o.Hosts) == 0 {
		errs = append(errs, errors.New("host: at least one is needed"))
	}
	for _, host := range o.Hosts {
		if net.ParseIP(host) == nil && len(validation.IsDNS1123Subdomain(host)) > 0 {
			errs = append(errs, fmt.Errorf("host: %q is neither an IP address nor a DNS name in lower case", host))
		}
	}
	if err := o.validateServer(); err != nil {
		errs = append(errs, fmt.Errorf("server: %w", err))
	}
	if o.Validity < time.Second {
		errs = append(errs, fmt.Errorf("validity: %s is shorter than a second", o.Validity))
	}
	if o.CAValidity < time.Second {
		errs = append(errs, fmt.Errorf("ca-validity: %s is shorter than a second", o.CAValidity))
	}
	return errors.Join(errs...)
}

func (o Options) validateServer() error {
	u, err := url.Parse(o.Server)
	if err != nil {
		return err
	}
	switch {
	case u.Scheme != "https" || u.Hostname() == "":
		return fmt.Errorf("%q is not an https:// URL", o.Server)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%q must have neither user, query nor fragment", u.Redacted())
	case u.Path == "" || u.Path == "/":
		return fmt.Errorf("%q has no path: the webhook answers at /authenticate", o.Server)
	}
	// The same code that will judge the certificate when kube-apiserver connects.
	names := profile{hosts: o.Hosts}.template()
	if names.VerifyHostname(u.Hostname()) != nil {
		return fmt.Errorf("host %q is not among the certificate's hosts %s: add --host %s, or change --server",
			u.Hostname(), strings.Join(o.Hosts, ", "), u.Hostname())
	}
	return nil
}
