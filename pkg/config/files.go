package config

// File is one that the configuration names.
type File struct {
	// Setting says where, such as "IssuerPolicy build: spec.kubernetes.kubeconfig".
	Setting string
	// Path is absolute.
	Path string
}

// Files are those that a server with this configuration reads, in the order of the
// issuers, so that they can be taken along to where it runs. The audit log is not among
// them: it is written.
func (c *Config) Files() []File {
	var files []File
	add := func(setting, path string) {
		if path != "" {
			files = append(files, File{Setting: setting, Path: path})
		}
	}
	for i := range c.Issuers {
		issuer := &c.Issuers[i]
		policy := "IssuerPolicy " + issuer.Name + ": spec."
		add(policy+"keys.jwksFile", issuer.Policy.Keys.JWKSFile)
		if entra := issuer.Policy.Entra; entra != nil && entra.Graph != nil {
			add(policy+"entra.graph.clientSecretFile", entra.Graph.ClientSecretFile)
			add(policy+"entra.graph.clientAssertionFile", entra.Graph.ClientAssertionFile)
		}
		if kubernetes := issuer.Policy.Kubernetes; kubernetes != nil {
			add(policy+"kubernetes.kubeconfig", kubernetes.Kubeconfig)
		}
	}
	add("WebhookConfiguration: spec.audit.fingerprintKeyFile", c.Webhook.Audit.FingerprintKeyFile)
	return files
}
