package convert_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tokenreview.dev/webhook/internal/convert"
	"tokenreview.dev/webhook/internal/issuertest"
)

// manifest is that of a pod with kube-apiserver's command line.
func manifest(t testing.TB, words []string) []byte {
	t.Helper()
	data, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Pod", "spec": map[string]any{
		"containers": []any{map[string]any{"name": "kube-apiserver", "command": append([]string{"kube-apiserver"}, words...)}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestManifests(t *testing.T) {
	const pod = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n"
	k := convert.Flags{"oidc-client-id": {"k"}}
	for _, test := range []struct {
		name, manifest string
		flags          convert.Flags
	}{
		{"a command", pod + "  - {command: [kube-apiserver, --v=2, --oidc-client-id=k]}", k},
		{"a command with a path", pod + "  - {command: [/usr/local/bin/kube-apiserver, --oidc-client-id=k]}", k},
		{"arguments", pod + "  - {command: [kube-apiserver], args: [--oidc-client-id=k]}", k},
		{"the command among the arguments", pod + "  - {command: [/go-runner, --log-file=/var/log/kube-apiserver, /usr/local/bin/kube-apiserver], args: [--oidc-client-id=k]}", k},
		{"arguments alone, in the container of the name", pod + "  - {name: kube-apiserver, args: [--oidc-client-id=k]}", k},
		{"another container first", pod + "  - {name: proxy, command: [proxy, --oidc-client-id=x]}\n  - {command: [kube-apiserver, --oidc-client-id=k]}", k},
		{"a value in a word of its own", pod + "  - {command: [kube-apiserver, --secure-port, '1', --oidc-client-id, k, --oidc-groups-claim, --x]}", convert.Flags{"oidc-client-id": {"k"}, "oidc-groups-claim": {"--x"}}},
		{"underscores", pod + "  - {command: [kube-apiserver, --oidc_client_id=k]}", k},
		{"nothing after two dashes", pod + "  - {command: [kube-apiserver, --oidc-client-id=k, --, --oidc-client-id=x]}", k},
		{"a value with = in it", pod + "  - {command: [kube-apiserver, --oidc-required-claim=a=b]}", convert.Flags{"oidc-required-claim": {"a=b"}}},
		{"a flag several times", pod + "  - {command: [kube-apiserver, --service-account-issuer=a, --service-account-issuer=b]}", convert.Flags{"service-account-issuer": {"a", "b"}}},
		{"no flags that matter", pod + "  - {command: [kube-apiserver]}", convert.Flags{}},
		{"JSON", `{"kind":"Pod","spec":{"containers":[{"command":["kube-apiserver","--oidc-client-id=k"]}]}}`, k},
		{"JSON after JSON", `{"kind":"Service"} {"kind":"Pod","spec":{"containers":[{"command":["kube-apiserver","--oidc-client-id=k"]}]}}`, k},
		{"several documents", "---\n# nothing\n---\nkind: Service\nspec: {containers: 5}\n---\n" + pod + "  - {command: [kube-apiserver, --oidc-client-id=k]}\n---\n", k},
		{"a List", "kind: List\nitems:\n- {kind: Service}\n- kind: Pod\n  spec: {containers: [{command: [kube-apiserver, --oidc-client-id=k]}]}\n", k},
		{"a PodList in JSON", `{"kind":"PodList","items":[{"kind":"Pod","spec":{"containers":[{"command":["kube-apiserver","--oidc-client-id=k"]}]}}]}`, k},
		{"several API servers with the same flags", strings.Repeat(pod+"  - {command: [kube-apiserver, --oidc-client-id=k]}\n---\n", 3), k},
		{"a Deployment", "kind: Deployment\nspec:\n  template:\n    spec: {containers: [{command: [kube-apiserver, --oidc-client-id=k]}]}\n", k},
		{"another container that speaks of kube-apiserver", pod + "  - {name: kube-apiserver, command: [kube-apiserver, --oidc-client-id=k]}\n  - {name: shipper, command: [ship, /var/log/kube-apiserver, --oidc-client-id=x]}", k},
		{"another pod whose script speaks of kube-apiserver", pod + "  - {name: debug, command: [sh, -c, 'pgrep kube-apiserver; sleep 1d']}\n---\n" + pod + "  - {name: kube-apiserver, command: [kube-apiserver, --oidc-client-id=k]}", k},
		{"an environment variable in a flag that says nothing here", pod + "  - {command: [kube-apiserver, --advertise-address=$(IP), --oidc-client-id=k]}", k},
		{"an environment variable in a value of its own", pod + "  - {command: [kube-apiserver, --audit-log-path, /var/log/$(NODE), --oidc-client-id=k]}", k},
		{"a dollar sign that refers to nothing", pod + "  - {command: [kube-apiserver, --oidc-client-id=a$b]}", convert.Flags{"oidc-client-id": {"a$b"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			flags, _, err := convert.ReadManifest([]byte(test.manifest))
			if diff := cmp.Diff(test.flags, flags); err != nil || diff != "" {
				t.Errorf("expected -, got + (%v):\n%s", err, diff)
			}
		})
	}
	for _, test := range []struct{ name, manifest, err string }{
		{"empty", "", "no container in it runs kube-apiserver"},
		{"no YAML", "a: [", "document 1: "},
		{"no object", "hello", "document 1: it is no Kubernetes object"},
		{"not the API server", pod + "  - {command: [kube-controller-manager, --x=/kube-apiserver]}", "no container in it runs kube-apiserver"},
		{"a pod of another form", "kind: List\nitems:\n- kind: Service\n- {kind: Pod, spec: {containers: 5}}", "document 1: items[1]: it is no Pod"},
		{"a shell script", pod + "  - {name: kube-apiserver, command: [/bin/sh, -c, 'exec kube-apiserver --oidc-client-id=k']}", `container "kube-apiserver": it runs kube-apiserver by a shell script: give its --oidc-* flags`},
		{"an environment variable", pod + "  - {command: [kube-apiserver, --oidc-client-id=$(ID)]}", `--oidc-client-id: "$(ID)" refers to an environment variable`},
		{"an environment variable that is a whole argument", pod + "  - {command: [kube-apiserver, --oidc-client-id=k, $(EXTRA)]}", `"$(EXTRA)": an environment variable of the container is a whole argument`},
		{"an environment variable that is a flag's name", pod + "  - {command: [kube-apiserver, '--$(FLAG)=a=b', --oidc-client-id=k]}", `"--$(FLAG)=a=b": an environment variable`},
		{"an environment variable that begins an argument", pod + "  - {command: [kube-apiserver, --oidc-client-id=k, '$(FLAG)=a=b']}", `"$(FLAG)=a=b": an environment variable`},
		{"an escaped dollar sign", pod + "  - {command: [kube-apiserver, --oidc-client-id=a$$b]}", `--oidc-client-id: "a$$b" refers to`},
		{"a flag that kube-apiserver does not have", pod + "  - {command: [kube-apiserver, --oidc-required-claims=a=b]}", "\"--oidc-required-claims\": kube-apiserver has no such flag"},
		{"a flag without its value", pod + "  - {command: [kube-apiserver, --oidc-client-id]}", "--oidc-client-id: its value is missing"},
		{"several API servers that differ", pod + "  - {command: [kube-apiserver, --oidc-client-id=k]}\n---\n" + pod + "  - {command: [kube-apiserver, --oidc-client-id=l]}", "several API servers in it have different flags"},
		{"several API servers that differ, one by another name", pod + "  - {name: kube-apiserver, command: [kube-apiserver, --oidc-client-id=k]}\n---\n" + pod + "  - {name: apiserver, command: [/usr/bin/kube-apiserver, --oidc-client-id=l]}", "several API servers in it have different flags"},
		{"one of several API servers without flags", pod + "  - {command: [kube-apiserver]}\n---\n" + pod + "  - {command: [kube-apiserver, --oidc-client-id=l]}", "several API servers in it have different flags"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if flags, _, err := convert.ReadManifest([]byte(test.manifest)); err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("expected %q, got %v and %v", test.err, err, flags)
			}
		})
	}
}

// The files of a manifest are those of its node, where its volumes are.
func TestFilesOfManifests(t *testing.T) {
	issuer := issuertest.Start("")
	defer issuer.Close()
	for _, test := range []struct {
		name, file, mounts, volumes string
		there                       string // below the root
		err                         string
	}{
		{name: "without volumes", file: "/pki/ca.crt", there: "pki/ca.crt"},
		{name: "in a folder of the node", file: "/pki/ca.crt", mounts: "{name: v, mountPath: /pki}", volumes: "{name: v, hostPath: {path: /etc/kubernetes/pki}}", there: "etc/kubernetes/pki/ca.crt"},
		{name: "in a folder with a slash at its end", file: "/pki/x/../ca.crt", mounts: "{name: v, mountPath: /pki/}", volumes: "{name: v, hostPath: {path: /etc/}}", there: "etc/ca.crt"},
		{name: "in the deepest of several", file: "/pki/oidc/ca.crt", mounts: "{name: a, mountPath: /pki}, {name: b, mountPath: /pki/oidc}, {name: a, mountPath: /}", volumes: "{name: a, hostPath: {path: /a}}, {name: b, hostPath: {path: /b}}", there: "b/ca.crt"},
		{name: "beside a folder of like name", file: "/pki-2/ca.crt", mounts: "{name: v, mountPath: /pki}", volumes: "{name: v, hostPath: {path: /a}}", there: "pki-2/ca.crt"},
		{name: "in the root of the container", file: "/ca.crt", mounts: "{name: v, mountPath: /}", volumes: "{name: v, hostPath: {path: /a}}", there: "a/ca.crt"},
		{name: "mounted by itself", file: "/ca.crt", mounts: "{name: v, mountPath: /ca.crt}", volumes: "{name: v, hostPath: {path: /etc/oidc.pem, type: File}}", there: "etc/oidc.pem"},
		{name: "in a part of a folder", file: "/pki/ca.crt", mounts: "{name: v, mountPath: /pki, subPath: sub}", volumes: "{name: v, hostPath: {path: /a}}", there: "a/sub/ca.crt"},
		{name: "in a part of a folder that only the node knows", file: "/pki/ca.crt", mounts: "{name: v, mountPath: /pki, subPathExpr: $(NODE)}", volumes: "{name: v, hostPath: {path: /a}}", there: "pki/ca.crt"},
		{name: "of a ConfigMap that somebody has saved", file: "/oidc/ca.crt", mounts: "{name: v, mountPath: /oidc}", volumes: "{name: v, configMap: {name: ca}}", there: "oidc/ca.crt"},
		{name: "with a name that is relative to the container's folder", file: "pki/ca.crt", there: "work/pki/ca.crt"},
		{name: "missing", file: "/pki/ca.crt", mounts: "{name: v, mountPath: /pki}", volumes: "{name: v, hostPath: {path: /a}}", there: "pki/ca.crt", err: "put a copy at DIR/a/ca.crt and give --root DIR"},
		{name: "outside of the root", file: "/../../ca.crt", there: "x/ca.crt", err: "put a copy at DIR/ca.crt"},
		{name: "too large", file: "/large", there: "large", err: "/large is larger than 3145728 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			place := filepath.Join(root, test.there)
			if err := os.MkdirAll(filepath.Dir(place), 0o700); err != nil {
				t.Fatal(err)
			}
			content := issuer.CertificateAuthority()
			if test.there == "large" {
				content += strings.Repeat("\n", 3<<20)
			}
			if err := os.WriteFile(place, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			err := convertWithCA(t, root, test.file, test.mounts, test.volumes)
			switch {
			case test.err == "" && err != nil:
				t.Error(err)
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), "--oidc-ca-file: ") || !strings.Contains(err.Error(), test.err)):
				t.Errorf("expected %q, got %v", test.err, err)
			}
		})
	}

	t.Run("a link out of the root", func(t *testing.T) {
		root := t.TempDir()
		if err := os.Symlink(write(t, "ca.crt", issuer.CertificateAuthority()), filepath.Join(root, "ca.crt")); err != nil {
			t.Fatal(err)
		}
		if err := convertWithCA(t, root, "/ca.crt", "", ""); err == nil || !strings.Contains(err.Error(), "escapes") {
			t.Errorf("expected the file of another root to be refused, got %v", err)
		}
	})
	t.Run("without a root", func(t *testing.T) {
		if err := convertWithCA(t, "", write(t, "ca.crt", issuer.CertificateAuthority()), "", ""); err != nil {
			t.Error(err)
		}
	})
	t.Run("of a ConfigMap without a root", func(t *testing.T) {
		path := write(t, "ca.crt", issuer.CertificateAuthority())
		err := convertWithCA(t, "", path, "{name: v, mountPath: "+filepath.Dir(path)+"}", "{name: v, configMap: {name: ca}}")
		if want := path + ` is in the volume "v", which is not a folder of the node: save the file as DIR` + path + " and give --root DIR"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("expected %q, got %v", want, err)
		}
	})
}

// convertWithCA converts a manifest with a CA file.
func convertWithCA(t *testing.T, root, file, mounts, volumes string) error {
	t.Helper()
	flags, files, err := convert.ReadManifest([]byte(`kind: Pod
spec:
  containers:
  - workingDir: /work
    command: [kube-apiserver, --oidc-issuer-url=https://id.example.com, --oidc-client-id=k, --oidc-ca-file=` + file + `]
    volumeMounts: [` + mounts + `]
  volumes: [` + volumes + `]
`))
	if err != nil {
		t.Fatal(err)
	}
	files.Root = root
	_, _, err = convert.Conversion{Flags: flags, Files: files}.Convert()
	return err
}
