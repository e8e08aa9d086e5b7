package certs

import (
	"errors"
	"fmt"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// kubeconfig plans the kubeconfig, or keeps the one that is there if it says the
// same: server, authority and client pair are compared, all else is its owner's.
func (p *plan) kubeconfig(ca, client *pair) error {
	path := p.dir.path(Kubeconfig)
	want := p.wantKubeconfig(ca, client)
	action := Created
	if p.opts.Renew {
		there, err := p.dir.exists(Kubeconfig)
		if err != nil {
			return err
		}
		if there {
			action = Replaced
		}
	} else {
		have, err := p.dir.read(Kubeconfig, permPrivate)
		if err != nil {
			return err
		}
		if have != nil {
			if err := checkKubeconfig(have, want); err != nil {
				return fmt.Errorf("%s: %w: remove it, or run again with --renew to replace it and the serving and client pairs", path, err)
			}
			p.results = append(p.results, Result{Action: Kept, Files: []string{path}})
			return nil
		}
	}
	content, err := clientcmd.Write(want)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	p.files = append(p.files, file{name: Kubeconfig, perm: permPrivate, content: content})
	p.results = append(p.results, Result{Action: action, Files: []string{path}})
	return nil
}

func (p *plan) wantKubeconfig(ca, client *pair) clientcmdapi.Config {
	const cluster, user, context = "tokenreview-webhook", "kube-apiserver", "tokenreview-webhook"
	c := clientcmdapi.NewCluster()
	c.Server = p.opts.Server
	u := clientcmdapi.NewAuthInfo()
	if p.opts.EmbedCerts {
		c.CertificateAuthorityData = ca.certPEM
		u.ClientCertificateData, u.ClientKeyData = client.certPEM, client.keyPEM
	} else {
		// Relative names are relative to the kubeconfig.
		c.CertificateAuthority = Authority + ".crt"
		u.ClientCertificate, u.ClientKey = APIServer+".crt", APIServer+".key"
	}
	ctx := clientcmdapi.NewContext()
	ctx.Cluster, ctx.AuthInfo = cluster, user

	config := clientcmdapi.NewConfig()
	config.Clusters[cluster] = c
	config.AuthInfos[user] = u
	config.Contexts[context] = ctx
	config.CurrentContext = context
	return *config
}

// checkKubeconfig says where what is there departs from what is wanted.
func checkKubeconfig(have []byte, want clientcmdapi.Config) error {
	config, err := clientcmd.Load(have)
	if err != nil {
		return fmt.Errorf("is not a kubeconfig: %w", err)
	}
	cluster, user := current(*config)
	if cluster == nil || user == nil {
		return errors.New("has no current context with a cluster and a user")
	}
	wantCluster, wantUser := current(want)
	for _, field := range []struct {
		name       string
		have, want string
	}{
		{"server", cluster.Server, wantCluster.Server},
		{"certificate-authority", cluster.CertificateAuthority, wantCluster.CertificateAuthority},
		{"client-certificate", user.ClientCertificate, wantUser.ClientCertificate},
		{"client-key", user.ClientKey, wantUser.ClientKey},
	} {
		if field.have != field.want {
			return fmt.Errorf("%s is %q, want %q", field.name, field.have, field.want)
		}
	}
	for _, field := range []struct {
		name, file string
		have, want []byte
	}{
		{"certificate-authority-data", Authority + ".crt", cluster.CertificateAuthorityData, wantCluster.CertificateAuthorityData},
		{"client-certificate-data", APIServer + ".crt", user.ClientCertificateData, wantUser.ClientCertificateData},
		{"client-key-data", APIServer + ".key", user.ClientKeyData, wantUser.ClientKeyData},
	} {
		switch {
		case string(field.have) == string(field.want):
		case field.want == nil:
			return fmt.Errorf("%s is set, want a reference to %s", field.name, field.file)
		default:
			return fmt.Errorf("%s is not what %s holds", field.name, field.file)
		}
	}
	return nil
}

// current is the cluster and the user of the current context, nil where missing.
func current(config clientcmdapi.Config) (*clientcmdapi.Cluster, *clientcmdapi.AuthInfo) {
	context := config.Contexts[config.CurrentContext]
	if context == nil {
		return nil, nil
	}
	return config.Clusters[context.Cluster], config.AuthInfos[context.AuthInfo]
}
