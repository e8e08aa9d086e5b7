package certs_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tokenreview.dev/webhook/internal/certs"
)

func remove(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func move(t *testing.T, dir, from, to string) {
	t.Helper()
	if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
		t.Fatal(err)
	}
}

// other is the content of the same files in a folder with another authority.
func other(t *testing.T, name string) string {
	t.Helper()
	opts := options(t)
	initialize(t, opts)
	return read(t, opts.Dir, name)
}

// rsaAuthority is an authority that was not made by this package: RSA, PKCS #1,
// without key identifiers.
func rsaAuthority(t *testing.T, usage x509.KeyUsage) (certPEM, keyPEM string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "of one's own"},
		NotBefore: now, NotAfter: now.Add(10 * 365 * day),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: usage,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

func TestBadOptionsAreAllReported(t *testing.T) {
	const year = 365 * day
	for _, tt := range []struct {
		name string
		opts certs.Options
		want []string
	}{
		{
			name: "nothing is given",
			opts: certs.Options{},
			want: []string{
				"dir: must not be empty",
				"host: at least one is needed",
				`server: "" is not an https:// URL`,
				"validity: 0s is shorter than a second",
				"ca-validity: 0s is shorter than a second",
			},
		},
		{
			name: "hosts are URLs, have ports, upper case or wildcards, or are empty",
			opts: certs.Options{
				Dir: "unused", Server: "https://127.0.0.1/authenticate", Validity: year, CAValidity: year,
				Hosts: []string{"https://a", "a:8443", "Localhost", "*.example.com", "", "127.0.0.1"},
			},
			want: []string{
				`host: "https://a" is neither an IP address nor a DNS name in lower case`,
				`host: "a:8443" is neither an IP address nor a DNS name in lower case`,
				`host: "Localhost" is neither an IP address nor a DNS name in lower case`,
				`host: "*.example.com" is neither an IP address nor a DNS name in lower case`,
				`host: "" is neither an IP address nor a DNS name in lower case`,
			},
		},
		{
			name: "the server's host is not on the certificate",
			opts: certs.Options{Dir: "unused", Server: "https://10.0.0.1:8443/authenticate", Validity: year, CAValidity: year, Hosts: []string{"127.0.0.1", "localhost"}},
			want: []string{`server: host "10.0.0.1" is not among the certificate's hosts 127.0.0.1, localhost: add --host 10.0.0.1, or change --server`},
		},
		{
			name: "the server is plain HTTP",
			opts: certs.Options{Dir: "unused", Server: "http://127.0.0.1:8443/authenticate", Validity: year, CAValidity: year, Hosts: []string{"127.0.0.1"}},
			want: []string{`server: "http://127.0.0.1:8443/authenticate" is not an https:// URL`},
		},
		{
			name: "the server has no host",
			opts: certs.Options{Dir: "unused", Server: "https://:8443/authenticate", Validity: year, CAValidity: year, Hosts: []string{"127.0.0.1"}},
			want: []string{`server: "https://:8443/authenticate" is not an https:// URL`},
		},
		{
			name: "the server has no path, so the webhook would answer 404",
			opts: certs.Options{Dir: "unused", Server: "https://127.0.0.1:8443", Validity: year, CAValidity: year, Hosts: []string{"127.0.0.1"}},
			want: []string{`server: "https://127.0.0.1:8443" has no path: the webhook answers at /authenticate`},
		},
		{
			name: "the server has a password, which is not repeated",
			opts: certs.Options{Dir: "unused", Server: "https://u:secret@127.0.0.1/authenticate", Validity: year, CAValidity: year, Hosts: []string{"127.0.0.1"}},
			want: []string{`server: "https://u:xxxxx@127.0.0.1/authenticate" must have neither user, query nor fragment`},
		},
		{
			name: "the server does not parse",
			opts: certs.Options{Dir: "unused", Server: "https://127.0.0.1:port/authenticate", Validity: year, CAValidity: year, Hosts: []string{"127.0.0.1"}},
			want: []string{`server: parse "https://127.0.0.1:port/authenticate": invalid port ":port" after host`},
		},
		{
			name: "certificates would have expired before they are made",
			opts: certs.Options{Dir: "unused", Server: "https://127.0.0.1/authenticate", Validity: -time.Hour, CAValidity: time.Millisecond, Hosts: []string{"127.0.0.1"}},
			want: []string{"validity: -1h0m0s is shorter than a second", "ca-validity: 1ms is shorter than a second"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			_, err := certs.Init(tt.opts)
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(tt.want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
			if got := snapshot(t, "."); len(got) > 0 {
				t.Errorf("bad options left something behind: %v", got)
			}
		})
	}
}

func TestWhatIsUnusableIsAnErrorAndNothingChanges(t *testing.T) {
	const (
		renew        = ": run again with --renew to replace the serving and client pairs"
		newAuthority = ": put the right files back, or remove both and run with --renew to start a new CA, which everyone who trusts the old one needs to be given"
		kubeconfig   = ": remove it, or run again with --renew to replace it and the serving and client pairs"
	)
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, opts *certs.Options)
		want  []string // lines, with DIR for the folder
		// renewHelps tells whether --renew is a way out.
		renewHelps bool
	}{
		{
			name:       "the serving key is another one's",
			spoil:      func(t *testing.T, o *certs.Options) { write(t, o.Dir, "tls.key", other(t, "tls.key")) },
			want:       []string{"DIR/tls.key: does not go with DIR/tls.crt: tls: private key does not match public key" + renew},
			renewHelps: true,
		},
		{
			name: "two pairs are broken in different ways",
			spoil: func(t *testing.T, o *certs.Options) {
				remove(t, o.Dir, "tls.key")
				remove(t, o.Dir, "auditor.crt")
			},
			want: []string{
				"DIR/tls.key: missing, but DIR/tls.crt is there" + renew,
				"DIR/auditor.crt: missing, but DIR/auditor.key is there" + renew,
			},
			renewHelps: true,
		},
		{
			name:  "the pairs have expired",
			spoil: func(_ *testing.T, o *certs.Options) { *o = later(*o, 365*day+time.Second) },
			want: []string{
				"DIR/tls.crt: expired at 2027-11-22T10:00:00Z" + renew,
				"DIR/apiserver.crt: expired at 2027-11-22T10:00:00Z" + renew,
				"DIR/auditor.crt: expired at 2027-11-22T10:00:00Z" + renew,
			},
			renewHelps: true,
		},
		{
			name:       "hosts are asked for that the serving certificate lacks",
			spoil:      func(_ *testing.T, o *certs.Options) { o.Hosts = append(o.Hosts, "10.0.0.1", "webhook.example.com") },
			want:       []string{"DIR/tls.crt: is not valid for host 10.0.0.1, webhook.example.com" + renew},
			renewHelps: true,
		},
		{
			name: "a pair is of another authority",
			spoil: func(t *testing.T, o *certs.Options) {
				foreign := options(t)
				initialize(t, foreign)
				write(t, o.Dir, "auditor.crt", read(t, foreign.Dir, "auditor.crt"))
				write(t, o.Dir, "auditor.key", read(t, foreign.Dir, "auditor.key"))
			},
			want: []string{`DIR/auditor.crt: is not a certificate of this CA for this purpose: x509: certificate signed by unknown authority ` +
				`(possibly because of "x509: ECDSA verification failure" while trying to verify candidate authority certificate "tokenreview-webhook-ca")` + renew},
			renewHelps: true,
		},
		{
			name: "the serving pair is where the API server's belongs",
			spoil: func(t *testing.T, o *certs.Options) {
				write(t, o.Dir, "apiserver.crt", read(t, o.Dir, "tls.crt"))
				write(t, o.Dir, "apiserver.key", read(t, o.Dir, "tls.key"))
			},
			want:       []string{"DIR/apiserver.crt: is not a certificate of this CA for this purpose: x509: certificate specifies an incompatible key usage" + renew},
			renewHelps: true,
		},
		{
			name: "the auditor's pair is where the API server's belongs",
			spoil: func(t *testing.T, o *certs.Options) {
				write(t, o.Dir, "apiserver.crt", read(t, o.Dir, "auditor.crt"))
				write(t, o.Dir, "apiserver.key", read(t, o.Dir, "auditor.key"))
			},
			want:       []string{`DIR/apiserver.crt: belongs to "CN=auditor,O=tokenreview:auditors", want "CN=kube-apiserver"` + renew},
			renewHelps: true,
		},
		{
			name:       "a certificate is empty",
			spoil:      func(t *testing.T, o *certs.Options) { write(t, o.Dir, "tls.crt", "") },
			want:       []string{"DIR/tls.crt: holds no PEM certificate" + renew},
			renewHelps: true,
		},
		{
			name:       "a certificate's file holds the key",
			spoil:      func(t *testing.T, o *certs.Options) { write(t, o.Dir, "tls.crt", read(t, o.Dir, "tls.key")) },
			want:       []string{"DIR/tls.crt: holds no PEM certificate" + renew},
			renewHelps: true,
		},
		{
			name: "a certificate's file is cut short",
			spoil: func(t *testing.T, o *certs.Options) {
				write(t, o.Dir, "tls.crt", read(t, o.Dir, "tls.crt")[:200])
			},
			want:       []string{"DIR/tls.crt: holds no PEM certificate" + renew},
			renewHelps: true,
		},
		{
			name: "a certificate is PEM around something else",
			spoil: func(t *testing.T, o *certs.Options) {
				write(t, o.Dir, "tls.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("hello")})))
			},
			want:       []string{"DIR/tls.crt: x509: malformed certificate" + renew},
			renewHelps: true,
		},
		{
			name: "a certificate's file is a chain",
			spoil: func(t *testing.T, o *certs.Options) {
				write(t, o.Dir, "tls.crt", read(t, o.Dir, "tls.crt")+read(t, o.Dir, "ca.crt"))
			},
			want:       []string{"DIR/tls.crt: holds more than one PEM block, want one certificate" + renew},
			renewHelps: true,
		},
		{
			name:       "a key is garbage",
			spoil:      func(t *testing.T, o *certs.Options) { write(t, o.Dir, "auditor.key", "secret") },
			want:       []string{"DIR/auditor.key: does not go with DIR/auditor.crt: tls: failed to find any PEM data in key input" + renew},
			renewHelps: true,
		},
		{
			name: "a private key is open to everyone",
			spoil: func(t *testing.T, o *certs.Options) {
				if err := os.Chmod(filepath.Join(o.Dir, "tls.key"), 0o644); err != nil {
					t.Fatal(err)
				}
			},
			want:       []string{"DIR/tls.key: has mode 0644, which is open to everyone: chmod it to 0600"},
			renewHelps: true,
		},
		{
			name: "a certificate can be replaced by everyone",
			spoil: func(t *testing.T, o *certs.Options) {
				if err := os.Chmod(filepath.Join(o.Dir, "ca.crt"), 0o666); err != nil {
					t.Fatal(err)
				}
			},
			want: []string{"DIR/ca.crt: has mode 0666, which is open to everyone: chmod it to 0644"},
		},
		{
			name: "the folder is open to everyone",
			spoil: func(t *testing.T, o *certs.Options) {
				if err := os.Chmod(o.Dir, 0o777); err != nil {
					t.Fatal(err)
				}
			},
			want: []string{"DIR: has mode 0777, everyone can replace its files: chmod it to 0700"},
		},
		{
			name: "a key is a symbolic link",
			spoil: func(t *testing.T, o *certs.Options) {
				move(t, o.Dir, "tls.key", "elsewhere.key")
				if err := os.Symlink("elsewhere.key", filepath.Join(o.Dir, "tls.key")); err != nil {
					t.Fatal(err)
				}
			},
			want: []string{"DIR/tls.key: is a symbolic link, want a file: remove it, or choose the folder it leads to"},
		},
		{
			name: "the kubeconfig is a symbolic link that leads nowhere",
			spoil: func(t *testing.T, o *certs.Options) {
				remove(t, o.Dir, "webhook.kubeconfig")
				if err := os.Symlink("nowhere", filepath.Join(o.Dir, "webhook.kubeconfig")); err != nil {
					t.Fatal(err)
				}
			},
			want: []string{"DIR/webhook.kubeconfig: is a symbolic link, want a file: remove it, or choose the folder it leads to"},
		},
		{
			name: "a folder is where a certificate belongs",
			spoil: func(t *testing.T, o *certs.Options) {
				remove(t, o.Dir, "tls.crt")
				if err := os.Mkdir(filepath.Join(o.Dir, "tls.crt"), 0o700); err != nil {
					t.Fatal(err)
				}
			},
			want: []string{"DIR/tls.crt: is not a regular file: remove it"},
		},
		{
			name:  "the authority has expired",
			spoil: func(_ *testing.T, o *certs.Options) { *o = later(*o, 3650*day+time.Second) },
			want:  []string{"DIR/ca.crt: expired at 2036-11-19T10:00:00Z" + newAuthority},
		},
		{
			name:  "the clock is before the authority's time",
			spoil: func(_ *testing.T, o *certs.Options) { *o = later(*o, -5*time.Minute-time.Second) },
			want:  []string{"DIR/ca.crt: is not valid before 2026-11-22T09:55:00Z" + newAuthority},
		},
		{
			name:  "the authority's key is another one's",
			spoil: func(t *testing.T, o *certs.Options) { write(t, o.Dir, "ca.key", other(t, "ca.key")) },
			want:  []string{"DIR/ca.key: does not go with DIR/ca.crt: tls: private key does not match public key" + newAuthority},
		},
		{
			name: "the authority is a bundle of two",
			spoil: func(t *testing.T, o *certs.Options) {
				write(t, o.Dir, "ca.crt", read(t, o.Dir, "ca.crt")+other(t, "ca.crt"))
			},
			want: []string{"DIR/ca.crt: holds more than one PEM block, want one certificate" + newAuthority},
		},
		{
			name: "the authority is no authority",
			spoil: func(t *testing.T, o *certs.Options) {
				write(t, o.Dir, "ca.crt", read(t, o.Dir, "tls.crt"))
				write(t, o.Dir, "ca.key", read(t, o.Dir, "tls.key"))
			},
			want: []string{"DIR/ca.crt: is not a certificate authority (RFC 5280 §4.2.1.9)" + newAuthority},
		},
		{
			name: "the authority may not sign certificates",
			spoil: func(t *testing.T, o *certs.Options) {
				certPEM, keyPEM := rsaAuthority(t, x509.KeyUsageCRLSign)
				write(t, o.Dir, "ca.crt", certPEM)
				write(t, o.Dir, "ca.key", keyPEM)
			},
			want: []string{"DIR/ca.crt: may not sign certificates (RFC 5280 §4.2.1.3)" + newAuthority},
		},
		{
			name:  "the authority's certificate is missing while its key is there",
			spoil: func(t *testing.T, o *certs.Options) { remove(t, o.Dir, "ca.crt") },
			want:  []string{"DIR/ca.crt: missing, but DIR/ca.key is there: put it back, or remove the key to start a new CA"},
		},
		{
			name: "the authority's key is missing and there is something to sign",
			spoil: func(t *testing.T, o *certs.Options) {
				remove(t, o.Dir, "ca.key")
				remove(t, o.Dir, "tls.crt", "tls.key")
			},
			want: []string{"DIR/ca.key: missing, but needed to sign DIR/tls.crt: put it back for this run"},
		},
		{
			name: "the kubeconfig leads to another server",
			spoil: func(_ *testing.T, o *certs.Options) {
				o.Server = "https://localhost:9443/authenticate"
			},
			want:       []string{`DIR/webhook.kubeconfig: server is "https://127.0.0.1:8443/authenticate", want "https://localhost:9443/authenticate"` + kubeconfig},
			renewHelps: true,
		},
		{
			name:       "the kubeconfig embeds certificates and references are asked for",
			spoil:      func(_ *testing.T, o *certs.Options) { o.EmbedCerts = false },
			want:       []string{`DIR/webhook.kubeconfig: certificate-authority is "", want "ca.crt"` + kubeconfig},
			renewHelps: true,
		},
		{
			name: "the kubeconfig both names and embeds the authority",
			spoil: func(t *testing.T, o *certs.Options) {
				embedded := read(t, o.Dir, "webhook.kubeconfig")
				remove(t, o.Dir, "webhook.kubeconfig")
				o.EmbedCerts = false
				initialize(t, *o)
				_, data, _ := strings.Cut(embedded, "certificate-authority-data: ")
				data, _, _ = strings.Cut(data, "\n")
				write(t, o.Dir, "webhook.kubeconfig", strings.Replace(read(t, o.Dir, "webhook.kubeconfig"),
					"certificate-authority: ca.crt", "certificate-authority: ca.crt\n    certificate-authority-data: "+data, 1))
			},
			want:       []string{"DIR/webhook.kubeconfig: certificate-authority-data is set, want a reference to ca.crt" + kubeconfig},
			renewHelps: true,
		},
		{
			name:       "the kubeconfig embeds a client pair that is gone",
			spoil:      func(t *testing.T, o *certs.Options) { remove(t, o.Dir, "apiserver.crt", "apiserver.key") },
			want:       []string{"DIR/webhook.kubeconfig: client-certificate-data is not what apiserver.crt holds" + kubeconfig},
			renewHelps: true,
		},
		{
			name:       "the kubeconfig is empty",
			spoil:      func(t *testing.T, o *certs.Options) { write(t, o.Dir, "webhook.kubeconfig", "") },
			want:       []string{"DIR/webhook.kubeconfig: has no current context with a cluster and a user" + kubeconfig},
			renewHelps: true,
		},
		{
			name:       "the kubeconfig is no kubeconfig",
			spoil:      func(t *testing.T, o *certs.Options) { write(t, o.Dir, "webhook.kubeconfig", "a: b: c") },
			want:       []string{"DIR/webhook.kubeconfig: is not a kubeconfig: yaml: mapping values are not allowed in this context" + kubeconfig},
			renewHelps: true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			opts := options(t)
			initialize(t, opts)
			tt.spoil(t, &opts)
			before := snapshot(t, opts.Dir)

			_, err := certs.Init(opts)
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(tt.want, strings.Split(strings.ReplaceAll(err.Error(), opts.Dir, "DIR"), "\n")); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
			if names := changed(before, snapshot(t, opts.Dir)); len(names) > 0 {
				t.Errorf("an error changed %v", names)
			}

			opts.Renew = true
			if _, err := certs.Init(opts); (err == nil) != tt.renewHelps {
				t.Errorf("with --renew the error is %v, want a way out: %t", err, tt.renewHelps)
			}
		})
	}
}

func TestAFolderThatCannotBeIsAnError(t *testing.T) {
	for _, tt := range []struct {
		name string
		dir  func(t *testing.T, temp string) string
		want string
	}{
		{
			name: "it is a file",
			dir: func(t *testing.T, temp string) string {
				write(t, temp, "file", "")
				return filepath.Join(temp, "file")
			},
			want: "create folder: mkdir TEMP/file: not a directory",
		},
		{
			name: "it is inside a file",
			dir: func(t *testing.T, temp string) string {
				write(t, temp, "file", "")
				return filepath.Join(temp, "file", "pki")
			},
			want: "create folder: mkdir TEMP/file: not a directory",
		},
		{
			name: "it is a symbolic link that leads nowhere",
			dir: func(t *testing.T, temp string) string {
				if err := os.Symlink("nowhere", filepath.Join(temp, "link")); err != nil {
					t.Fatal(err)
				}
				return filepath.Join(temp, "link")
			},
			want: "create folder: mkdir TEMP/link: file exists",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			temp := t.TempDir()
			opts := options(t)
			opts.Dir = tt.dir(t, temp)
			_, err := certs.Init(opts)
			if err == nil {
				t.Fatal("no error")
			}
			if got := strings.ReplaceAll(err.Error(), temp, "TEMP"); got != tt.want {
				t.Errorf("error is %q, want %q", got, tt.want)
			}
		})
	}
}
