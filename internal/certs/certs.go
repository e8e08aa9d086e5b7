// Package certs makes the certificates between kube-apiserver and the webhook.
//
// It begins with an empty folder and ends with one that holds a certificate
// authority, the pair the webhook serves with, the pairs its callers present,
// and the kubeconfig that tells kube-apiserver about them. It does not serve,
// watch or reload: those who read the files do.
package certs

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// What Init keeps in its folder. Every pair NAME is the two files NAME.crt and
// NAME.key, in PEM (RFC 7468).
const (
	// Authority is the pair that signs all others, and the only thing that both
	// ends trust. Its key is needed to sign, never to serve.
	Authority = "ca"
	// Serving is the pair of the webhook's secure port.
	Serving = "tls"
	// APIServer is the pair that kube-apiserver presents to the webhook, with the
	// common name "kube-apiserver".
	APIServer = "apiserver"
	// Auditor is the pair for people who ask the webhook by hand, with the common
	// name "auditor" and the organization "tokenreview:auditors", so that nobody
	// borrows the API server's and the two can be told apart.
	Auditor = "auditor"
	// Kubeconfig is the file for kube-apiserver's flag
	// --authentication-token-webhook-config-file.
	Kubeconfig = "webhook.kubeconfig"
)

// Action is what Init did with some files.
type Action string

// The actions of Init.
const (
	Kept     Action = "kept"
	Created  Action = "created"
	Replaced Action = "replaced"
)

// Result is what became of one pair, or of the kubeconfig.
type Result struct {
	Action Action
	// Files are the paths concerned, within Options.Dir.
	Files []string
	// NotAfter is when the certificate expires; zero for the kubeconfig.
	NotAfter time.Time
}

// String is the line that tells a person of the result.
func (r Result) String() string {
	line := fmt.Sprintf("%-8s %s", r.Action, strings.Join(r.Files, " "))
	if !r.NotAfter.IsZero() {
		line += ", valid until " + r.NotAfter.UTC().Format(time.RFC3339)
	}
	return line
}

// Init makes the files of Options.Dir that are missing and keeps those that are
// good; with Options.Renew it replaces all but the authority. It reports in the
// order authority, serving, API server, auditor, kubeconfig.
//
// What is there but unusable is an error that names the file and the way out,
// never silently replaced. Everything is read, checked, signed and written
// beside its destination before the first file is put in place, so that until
// then an error changes nothing. Two Inits must not run in one folder at the
// same time.
func Init(opts Options) ([]Result, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	dir, err := openDirectory(opts.Dir)
	if err != nil {
		return nil, err
	}
	p := &plan{opts: opts, dir: dir, now: opts.now()}
	ca, err := p.authority()
	if err != nil {
		return nil, err
	}
	_, errServing := p.leaf(ca, profile{name: Serving, purpose: serverAuth, commonName: "webhook", hosts: opts.Hosts})
	client, errClient := p.leaf(ca, profile{name: APIServer, purpose: clientAuth, commonName: "kube-apiserver"})
	_, errAuditor := p.leaf(ca, profile{name: Auditor, purpose: clientAuth, commonName: "auditor", organization: "tokenreview:auditors"})
	if err := errors.Join(errServing, errClient, errAuditor); err != nil {
		return nil, err
	}
	if err := p.kubeconfig(ca, client); err != nil {
		return nil, err
	}
	if err := dir.write(p.files); err != nil {
		return nil, err
	}
	return p.results, nil
}
