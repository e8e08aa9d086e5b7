package bootstrap

import (
	"path"

	"tokenreview.dev/webhook/internal/certs"
)

// Where things are in the container and, if the target does not say otherwise, on the
// host: the same places, so that a configuration that names a file is right in both.
const (
	// configDir has the configuration and the files that it names.
	configDir = "/etc/tokenreview-webhook/config"
	// pkiDir has what the webhook serves with.
	pkiDir = "/etc/tokenreview-webhook/pki"
	// apiServerDir has the kubeconfig and the pair that it names. It is mounted into kube-apiserver and not into
	// the webhook, which must not be able to ask itself in kube-apiserver's name.
	apiServerDir = "/etc/tokenreview-webhook/apiserver"
	// stateDir is the webhook's to write.
	stateDir = "/var/lib/tokenreview-webhook"

	configFile     = configDir + "/webhook.yaml"
	kubeconfigFile = apiServerDir + "/" + certs.Kubeconfig
)

// nodeDir is the mirror of a node's files, in Options.Dir. Its files are copied to the
// places that they have below it, owned by root:root.
const nodeDir = "node"

// The webhook runs as a user of its own and in the group of root, which so may read
// what others may not.
const (
	permGroup   = 0o640
	permPrivate = 0o600
	permPublic  = 0o644
)

// nodeFiles are those of every target on nodes.
func (in inputs) nodeFiles() []File {
	var files []File
	for _, file := range in.config {
		files = append(files, nodeFile(path.Join(configDir, file.Name), permGroup, file.Content))
	}
	return append(files,
		nodeFile(pkiDir+"/tls.crt", permGroup, in.serving.certificate),
		nodeFile(pkiDir+"/tls.key", permGroup, in.serving.key),
		nodeFile(pkiDir+"/ca.crt", permGroup, in.ca),
	)
}

// apiServerFiles are kube-apiserver's.
func (in inputs) apiServerFiles() []File {
	return []File{
		nodeFile(kubeconfigFile, permPrivate, in.kubeconfig),
		// The kubeconfig names these beside it, so that kube-apiserver takes up a renewed
		// pair without a restart.
		nodeFile(apiServerDir+"/ca.crt", permPrivate, in.ca),
		nodeFile(apiServerDir+"/apiserver.crt", permPrivate, in.caller.certificate),
		nodeFile(apiServerDir+"/apiserver.key", permPrivate, in.caller.key),
	}
}

// nodeFile is a file that nodes have at place, which is absolute.
func nodeFile(place string, mode uint32, content []byte) File {
	return File{Name: path.Join(nodeDir, place), Mode: mode, Content: content}
}
