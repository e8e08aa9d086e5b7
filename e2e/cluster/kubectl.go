package cluster

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Credential is what a client of the API server shows: a token, or a certificate
// with its key.
type Credential struct {
	Token           string
	CertificateFile string
	KeyFile         string
}

// Kubectl runs kubectl with a credential. The token is in a file, not on the
// command line, as with people.
func (s *APIServer) Kubectl(t *testing.T, credential Credential, args ...string) Result {
	t.Helper()
	kubeconfig := s.Kubeconfig(t, credential)
	env := []string{
		"KUBECONFIG=" + kubeconfig,
		"KUBECACHEDIR=" + filepath.Join(s.home, "kubectl"),
		"HOME=" + s.home,
	}
	return run(t, s.binaries.Kubectl, env, args...)
}

// Admin runs kubectl as a member of system:masters and returns what it prints.
// kubectl has to succeed.
func (s *APIServer) Admin(t *testing.T, args ...string) string {
	t.Helper()
	return s.Kubectl(t, Credential{Token: s.AdminToken}, args...).Must(t)
}

// Kubeconfig is a file with which a client shows the credential.
func (s *APIServer) Kubeconfig(t *testing.T, credential Credential) string {
	t.Helper()
	type object = map[string]any
	user := object{}
	if credential.Token != "" {
		user["token"] = credential.Token
	}
	if credential.CertificateFile != "" {
		user["client-certificate"] = credential.CertificateFile
		user["client-key"] = credential.KeyFile
	}
	// JSON is YAML, and this is nobody's file to read.
	data, err := json.Marshal(object{
		"apiVersion":      "v1",
		"kind":            "Config",
		"current-context": "e2e",
		"clusters": []object{{"name": "e2e", "cluster": object{
			"server":                     s.URL,
			"certificate-authority-data": base64.StdEncoding.EncodeToString(s.CertificateAuthority),
		}}},
		"users":    []object{{"name": "e2e", "user": user}},
		"contexts": []object{{"name": "e2e", "context": object{"cluster": "e2e", "user": "e2e"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.CreateTemp(t.TempDir(), "kubeconfig-*")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(data); err != nil {
		t.Fatal(err)
	}
	return file.Name()
}
