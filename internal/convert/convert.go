// Package convert turns kube-apiserver's --oidc-* flags into a configuration file
// of the same meaning.
//
// What the flags mean is kube-apiserver's own rule, BuiltInAuthenticationOptions'
// ToAuthenticationConfig and Validate in k8s.io/kubernetes/pkg/kubeapiserver/options:
// the tests hold the two side by side. Flags come from the command line or, in
// manifest.go, from a pod's; authentication.go says what they mean, write.go says it
// in YAML.
package convert

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apiserver/pkg/apis/apiserver"

	"tokenreview.dev/webhook/pkg/config"
)

// Conversion is what to convert.
type Conversion struct {
	Flags Flags
	Files Files
	// Name is the IssuerPolicy's name, a DNS label; empty is made of the issuer's
	// host.
	Name string
	// Source is the file that the flags are from, for the first comment; empty if they
	// were given one by one.
	Source string
}

// Errors are all that is wrong with the flags, each with the flag's name.
type Errors []error

// Error is the errors, one to a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Convert returns the configuration file, and what is valid in it but may not be what
// was meant. The error is Errors where kube-apiserver itself would not start with the
// flags, something they name cannot be read, or they contradict each other. It is
// config.Errors, and the file is there nonetheless, where the webhook would not start
// with the file.
func (c Conversion) Convert() (text []byte, warnings config.Errors, err error) {
	if file := c.Flags.last(authenticationConfig, ""); file != "" {
		return nil, nil, Errors{fmt.Errorf("--%s: the API server has its issuers from %q and takes no --oidc-* flags beside it: there is nothing to convert, use that file as it is, as document 1 of the webhook's", authenticationConfig, file)}
	}
	if !c.Flags.hasOIDC() {
		return nil, nil, Errors{errors.New("there are no --oidc-* flags: nothing to convert")}
	}
	r := reader{flags: c.Flags, files: c.Files, file: file{source: c.Source, name: c.Name}}
	r.read()
	if r.name == "" {
		r.name = nameOf(r.jwt.Issuer.URL)
	}
	for _, problem := range validation.IsDNS1123Label(r.name) {
		r.fail("name", fmt.Errorf("%q: %s", r.name, problem))
	}
	if len(r.errs) > 0 {
		return nil, nil, r.errs
	}
	if text, err = r.write(); err != nil {
		return nil, nil, err
	}
	loaded, err := config.Parse("output", text)
	if err != nil {
		return text, nil, err
	}
	return text, loaded.Warnings, nil
}

// nameOf makes a DNS label of an issuer's host.
func nameOf(issuer string) string {
	host := ""
	if address, err := url.Parse(issuer); err == nil {
		host = strings.ToLower(address.Hostname())
	}
	label := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return '-'
	}, host)
	label = strings.Trim(label[:min(len(label), validation.DNS1123LabelMaxLength)], "-")
	if label == "" {
		return "issuer"
	}
	return label
}

// file is what the configuration file says.
type file struct {
	source            string
	notes             []string
	name              string
	jwt               apiserver.JWTAuthenticator
	algorithms        []string
	disallowedIssuers []string
}
