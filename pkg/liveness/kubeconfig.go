package liveness

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"tokenreview.dev/webhook/internal/regularfile"
)

// maxFileBytes bounds the kubeconfig and each file it names. Real ones stay below
// 64 KiB.
const maxFileBytes = 1 << 20

// kubeconfig is what a kubeconfig's current context said when it was read.
type kubeconfig struct {
	content []byte
	server  *url.URL
	// client names no files: it holds what they held.
	client *rest.Config
}

// readKubeconfig reads the kubeconfig at path and the files it names, relative ones
// from the folder of path. Nothing is taken from anywhere else, and no program is
// started. Its errors hold nothing secret that stands in the files.
func readKubeconfig(path string) (*kubeconfig, error) {
	content, err := regularfile.Read(path, maxFileBytes)
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.Load(content)
	if err != nil {
		// Without the error's own text, which may quote the content.
		return nil, errors.New("it is not a kubeconfig; see what kubectl config view says of it")
	}
	cluster, user, err := currentContext(config)
	if err != nil {
		return nil, err
	}
	server, err := checkCluster(cluster)
	if err != nil {
		return nil, err
	}
	if err := checkUser(user); err != nil {
		return nil, err
	}
	if err := inline(filepath.Dir(path), cluster, user); err != nil {
		return nil, err
	}
	client, err := clientcmd.NewNonInteractiveClientConfig(*config, config.CurrentContext, &clientcmd.ConfigOverrides{}, nil).ClientConfig()
	if err != nil {
		return nil, err
	}
	return &kubeconfig{content: content, server: server, client: client}, nil
}

// equal reports whether other leads to the same place with the same credentials.
func (k *kubeconfig) equal(other *kubeconfig) bool {
	return bytes.Equal(k.content, other.content) &&
		k.client.BearerToken == other.client.BearerToken &&
		reflect.DeepEqual(k.client.TLSClientConfig, other.client.TLSClientConfig)
}

func currentContext(config *clientcmdapi.Config) (*clientcmdapi.Cluster, *clientcmdapi.AuthInfo, error) {
	context := config.Contexts[config.CurrentContext]
	if context == nil {
		return nil, nil, fmt.Errorf("its current-context %q is not among its contexts", config.CurrentContext)
	}
	cluster, user := config.Clusters[context.Cluster], config.AuthInfos[context.AuthInfo]
	if cluster == nil {
		return nil, nil, fmt.Errorf("the cluster %q of its current context is not among its clusters", context.Cluster)
	}
	if user == nil {
		return nil, nil, fmt.Errorf("the user %q of its current context is not among its users", context.AuthInfo)
	}
	return cluster, user, nil
}

func checkCluster(cluster *clientcmdapi.Cluster) (*url.URL, error) {
	server, err := url.Parse(cluster.Server)
	if err != nil || server.Scheme != "https" || server.Host == "" || server.User != nil || server.RawQuery != "" || server.Fragment != "" {
		return nil, errors.New("the server must be given as https://HOST[:PORT][/PATH]")
	}
	if cluster.InsecureSkipTLSVerify {
		return nil, errors.New("insecure-skip-tls-verify would send tokens to anybody; use certificate-authority")
	}
	if cluster.ProxyURL == "" {
		return server, nil
	}
	// clientcmd's error would quote the proxy's password.
	if proxy, err := url.Parse(cluster.ProxyURL); err != nil || proxy.Host == "" || !slices.Contains([]string{"http", "https", "socks5"}, proxy.Scheme) {
		return nil, errors.New("the proxy-url must be an http, https or socks5 URL")
	}
	return server, nil
}

func checkUser(user *clientcmdapi.AuthInfo) error {
	const use = "use a client certificate, token or tokenFile"
	switch {
	case user.Exec != nil:
		return errors.New("its user has an exec plugin, and a daemon starts no programs; " + use)
	case user.AuthProvider != nil:
		return errors.New("its user has an auth-provider plugin, which is not supported; " + use)
	case user.Username != "" || user.Password != "":
		return errors.New("its user has a username and password, which no API server accepts since Kubernetes 1.19; " + use)
	case user.Impersonate != "" || user.ImpersonateUID != "" || len(user.ImpersonateGroups) > 0 || len(user.ImpersonateUserExtra) > 0:
		return errors.New("its user acts as another one, which is not supported; " + use)
	}
	return nil
}

// inline puts what the files hold in the place of their names. client-go would read
// some of them once and others again and again, at times of its own choice. As for
// client-go, data wins over a file, and a tokenFile over a token.
func inline(folder string, cluster *clientcmdapi.Cluster, user *clientcmdapi.AuthInfo) error {
	var token []byte
	for _, reference := range []struct {
		file *string
		data *[]byte
	}{
		{&cluster.CertificateAuthority, &cluster.CertificateAuthorityData},
		{&user.ClientCertificate, &user.ClientCertificateData},
		{&user.ClientKey, &user.ClientKeyData},
		{&user.TokenFile, &token},
	} {
		file := *reference.file
		*reference.file = ""
		if file == "" || len(*reference.data) > 0 {
			continue
		}
		if !filepath.IsAbs(file) {
			file = filepath.Join(folder, file)
		}
		data, err := regularfile.Read(file, maxFileBytes)
		if err != nil {
			return err
		}
		if len(data) == 0 {
			// Or the system's roots would be trusted, or nobody would ask.
			return fmt.Errorf("%s is empty", file)
		}
		*reference.data = data
	}
	if token != nil {
		user.Token = strings.TrimSpace(string(token))
	}
	return nil
}
