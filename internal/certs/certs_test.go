package certs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tokenreview.dev/webhook/internal/certs"
)

var now = time.Date(2026, time.November, 22, 10, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// options are the defaults in a folder that does not exist yet, at a fixed time.
func options(t *testing.T) certs.Options {
	t.Helper()
	opts := certs.DefaultOptions(filepath.Join(t.TempDir(), "pki"))
	opts.Now = func() time.Time { return now }
	return opts
}

func later(opts certs.Options, d time.Duration) certs.Options {
	opts.Now = func() time.Time { return now.Add(d) }
	return opts
}

func initialize(t *testing.T, opts certs.Options) []certs.Result {
	t.Helper()
	results, err := certs.Init(opts)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func readCertificate(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(data)
	if block == nil || len(rest) > 0 {
		t.Fatalf("%s does not hold one PEM block", path)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// snapshot is the content of every file in the folder.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !entry.Type().IsRegular() {
			files[entry.Name()] = entry.Type().String()
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[entry.Name()] = string(data)
	}
	return files
}

// changed names the files that differ between two snapshots.
func changed(before, after map[string]string) []string {
	var names []string
	for name := range after {
		if before[name] != after[name] {
			names = append(names, name)
		}
	}
	for name := range before {
		if _, ok := after[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func lines(dir string, results []certs.Result) []string {
	var out []string
	for _, r := range results {
		out = append(out, strings.ReplaceAll(r.String(), dir, "DIR"))
	}
	return out
}

func TestCertificatesSayWhatTheyAreFor(t *testing.T) {
	opts := options(t)
	initialize(t, opts)
	ca := readCertificate(t, filepath.Join(opts.Dir, "ca.crt"))

	type facts struct {
		Subject, Issuer     string
		NotBefore, NotAfter time.Time
		IsCA                bool
		MaxPathLenZero      bool
		KeyUsage            x509.KeyUsage
		ExtKeyUsage         []x509.ExtKeyUsage
		DNSNames            []string
		IPAddresses         []string
	}
	const issuer = "CN=tokenreview-webhook-ca"
	begin := now.Add(-5 * time.Minute)
	for _, tt := range []struct {
		name, file string
		want       facts
	}{
		{
			name: "the authority signs certificates and revocation lists, but no other authority, for ten years",
			file: "ca.crt",
			want: facts{
				Subject: issuer, Issuer: issuer, NotBefore: begin, NotAfter: now.Add(3650 * day),
				IsCA: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
			},
		},
		{
			name: "the serving certificate serves loopback for a year",
			file: "tls.crt",
			want: facts{
				Subject: "CN=webhook", Issuer: issuer, NotBefore: begin, NotAfter: now.Add(365 * day),
				KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
				DNSNames: []string{"localhost"}, IPAddresses: []string{"127.0.0.1", "::1"},
			},
		},
		{
			name: "the API server's certificate is for a client alone",
			file: "apiserver.crt",
			want: facts{
				Subject: "CN=kube-apiserver", Issuer: issuer, NotBefore: begin, NotAfter: now.Add(365 * day),
				KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
			},
		},
		{
			name: "the auditor's certificate names its group",
			file: "auditor.crt",
			want: facts{
				Subject: "CN=auditor,O=tokenreview:auditors", Issuer: issuer, NotBefore: begin, NotAfter: now.Add(365 * day),
				KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cert := readCertificate(t, filepath.Join(opts.Dir, tt.file))
			got := facts{
				Subject: cert.Subject.String(), Issuer: cert.Issuer.String(), NotBefore: cert.NotBefore, NotAfter: cert.NotAfter,
				IsCA: cert.IsCA, MaxPathLenZero: cert.MaxPathLenZero, KeyUsage: cert.KeyUsage, ExtKeyUsage: cert.ExtKeyUsage, DNSNames: cert.DNSNames,
			}
			for _, ip := range cert.IPAddresses {
				got.IPAddresses = append(got.IPAddresses, ip.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("certificate (-want +got):\n%s", diff)
			}

			if key, ok := cert.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
				t.Errorf("key is %T, want ECDSA on P-256", cert.PublicKey)
			}
			if cert.SignatureAlgorithm != x509.ECDSAWithSHA256 {
				t.Errorf("signature algorithm is %s, want ECDSA with SHA-256", cert.SignatureAlgorithm)
			}
			if n := cert.SerialNumber.BitLen(); n < 64 || n > 128 {
				t.Errorf("serial number has %d bits, want 128 random ones", n)
			}
			if len(cert.SubjectKeyId) != 20 {
				t.Errorf("subject key identifier is %x, want 160 bits", cert.SubjectKeyId)
			}
			if tt.file != "ca.crt" && string(cert.AuthorityKeyId) != string(ca.SubjectKeyId) {
				t.Errorf("authority key identifier is %x, want the CA's %x", cert.AuthorityKeyId, ca.SubjectKeyId)
			}
			for what, oid := range map[string]asn1.ObjectIdentifier{"basicConstraints": {2, 5, 29, 19}, "keyUsage": {2, 5, 29, 15}} {
				if !slices.ContainsFunc(cert.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oid) && e.Critical }) {
					t.Errorf("%s is missing or not critical", what)
				}
			}
		})
	}
}

func TestSerialNumbersAndKeysDiffer(t *testing.T) {
	opts := options(t)
	initialize(t, opts)
	serials, keys := map[string]string{}, map[string]string{}
	for _, file := range []string{"ca.crt", "tls.crt", "apiserver.crt", "auditor.crt"} {
		cert := readCertificate(t, filepath.Join(opts.Dir, file))
		if other, ok := serials[cert.SerialNumber.String()]; ok {
			t.Errorf("%s and %s have one serial number", file, other)
		}
		if other, ok := keys[string(cert.SubjectKeyId)]; ok {
			t.Errorf("%s and %s have one key", file, other)
		}
		serials[cert.SerialNumber.String()], keys[string(cert.SubjectKeyId)] = file, file
	}
}

func TestFilesHaveTheModesOfTheirSecrets(t *testing.T) {
	opts := options(t)
	initialize(t, opts)
	want := map[string]fs.FileMode{
		".":      fs.ModeDir | 0o700,
		"ca.crt": 0o644, "ca.key": 0o600,
		"tls.crt": 0o644, "tls.key": 0o600,
		"apiserver.crt": 0o644, "apiserver.key": 0o600,
		"auditor.crt": 0o644, "auditor.key": 0o600,
		"webhook.kubeconfig": 0o600,
	}
	got := map[string]fs.FileMode{}
	err := filepath.WalkDir(opts.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(opts.Dir, path)
		got[name] = info.Mode()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files and modes (-want +got):\n%s", diff)
	}
}

func TestAnExistingFolderKeepsItsMode(t *testing.T) {
	opts := options(t)
	if err := os.Mkdir(opts.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	initialize(t, opts)
	info, err := os.Stat(opts.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o755 {
		t.Errorf("mode is %04o, want it left at 0755", got)
	}
}

func TestResultsTellWhatWasDone(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(t *testing.T, opts certs.Options) certs.Options
		want   []string
	}{
		{
			name:   "everything is created in an empty folder",
			before: func(_ *testing.T, opts certs.Options) certs.Options { return opts },
			want: []string{
				"created  DIR/ca.crt DIR/ca.key, valid until 2036-11-19T10:00:00Z",
				"created  DIR/tls.crt DIR/tls.key, valid until 2027-11-22T10:00:00Z",
				"created  DIR/apiserver.crt DIR/apiserver.key, valid until 2027-11-22T10:00:00Z",
				"created  DIR/auditor.crt DIR/auditor.key, valid until 2027-11-22T10:00:00Z",
				"created  DIR/webhook.kubeconfig",
			},
		},
		{
			name: "everything is kept the second time",
			before: func(t *testing.T, opts certs.Options) certs.Options {
				initialize(t, opts)
				return later(opts, 364*day)
			},
			want: []string{
				"kept     DIR/ca.crt DIR/ca.key, valid until 2036-11-19T10:00:00Z",
				"kept     DIR/tls.crt DIR/tls.key, valid until 2027-11-22T10:00:00Z",
				"kept     DIR/apiserver.crt DIR/apiserver.key, valid until 2027-11-22T10:00:00Z",
				"kept     DIR/auditor.crt DIR/auditor.key, valid until 2027-11-22T10:00:00Z",
				"kept     DIR/webhook.kubeconfig",
			},
		},
		{
			name: "what is missing is created and the rest is kept",
			before: func(t *testing.T, opts certs.Options) certs.Options {
				initialize(t, opts)
				remove(t, opts.Dir, "auditor.crt", "auditor.key", "webhook.kubeconfig")
				return later(opts, 31*day)
			},
			want: []string{
				"kept     DIR/ca.crt DIR/ca.key, valid until 2036-11-19T10:00:00Z",
				"kept     DIR/tls.crt DIR/tls.key, valid until 2027-11-22T10:00:00Z",
				"kept     DIR/apiserver.crt DIR/apiserver.key, valid until 2027-11-22T10:00:00Z",
				"created  DIR/auditor.crt DIR/auditor.key, valid until 2027-12-23T10:00:00Z",
				"created  DIR/webhook.kubeconfig",
			},
		},
		{
			name: "a renewal replaces all but the authority, expired or not",
			before: func(t *testing.T, opts certs.Options) certs.Options {
				initialize(t, opts)
				opts = later(opts, 366*day)
				opts.Renew = true
				return opts
			},
			want: []string{
				"kept     DIR/ca.crt DIR/ca.key, valid until 2036-11-19T10:00:00Z",
				"replaced DIR/tls.crt DIR/tls.key, valid until 2028-11-22T10:00:00Z",
				"replaced DIR/apiserver.crt DIR/apiserver.key, valid until 2028-11-22T10:00:00Z",
				"replaced DIR/auditor.crt DIR/auditor.key, valid until 2028-11-22T10:00:00Z",
				"replaced DIR/webhook.kubeconfig",
			},
		},
		{
			name: "a renewal in an empty folder creates everything",
			before: func(_ *testing.T, opts certs.Options) certs.Options {
				opts.Renew = true
				return opts
			},
			want: []string{
				"created  DIR/ca.crt DIR/ca.key, valid until 2036-11-19T10:00:00Z",
				"created  DIR/tls.crt DIR/tls.key, valid until 2027-11-22T10:00:00Z",
				"created  DIR/apiserver.crt DIR/apiserver.key, valid until 2027-11-22T10:00:00Z",
				"created  DIR/auditor.crt DIR/auditor.key, valid until 2027-11-22T10:00:00Z",
				"created  DIR/webhook.kubeconfig",
			},
		},
		{
			name: "an authority that was removed is replaced together with what it had signed",
			before: func(t *testing.T, opts certs.Options) certs.Options {
				initialize(t, opts)
				remove(t, opts.Dir, "ca.crt", "ca.key")
				opts.Renew = true
				return opts
			},
			want: []string{
				"created  DIR/ca.crt DIR/ca.key, valid until 2036-11-19T10:00:00Z",
				"replaced DIR/tls.crt DIR/tls.key, valid until 2027-11-22T10:00:00Z",
				"replaced DIR/apiserver.crt DIR/apiserver.key, valid until 2027-11-22T10:00:00Z",
				"replaced DIR/auditor.crt DIR/auditor.key, valid until 2027-11-22T10:00:00Z",
				"replaced DIR/webhook.kubeconfig",
			},
		},
		{
			name: "the authority's key is not needed where everything is kept",
			before: func(t *testing.T, opts certs.Options) certs.Options {
				initialize(t, opts)
				remove(t, opts.Dir, "ca.key")
				return opts
			},
			want: []string{
				"kept     DIR/ca.crt, valid until 2036-11-19T10:00:00Z",
				"kept     DIR/tls.crt DIR/tls.key, valid until 2027-11-22T10:00:00Z",
				"kept     DIR/apiserver.crt DIR/apiserver.key, valid until 2027-11-22T10:00:00Z",
				"kept     DIR/auditor.crt DIR/auditor.key, valid until 2027-11-22T10:00:00Z",
				"kept     DIR/webhook.kubeconfig",
			},
		},
		{
			name: "no certificate outlives the authority",
			before: func(t *testing.T, opts certs.Options) certs.Options {
				opts.CAValidity = 30 * day
				return opts
			},
			want: []string{
				"created  DIR/ca.crt DIR/ca.key, valid until 2026-12-22T10:00:00Z",
				"created  DIR/tls.crt DIR/tls.key, valid until 2026-12-22T10:00:00Z",
				"created  DIR/apiserver.crt DIR/apiserver.key, valid until 2026-12-22T10:00:00Z",
				"created  DIR/auditor.crt DIR/auditor.key, valid until 2026-12-22T10:00:00Z",
				"created  DIR/webhook.kubeconfig",
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			opts := tt.before(t, options(t))
			before := map[string]string{}
			if _, err := os.Stat(opts.Dir); err == nil {
				before = snapshot(t, opts.Dir)
			}
			results := initialize(t, opts)
			if diff := cmp.Diff(tt.want, lines(opts.Dir, results)); diff != "" {
				t.Errorf("results (-want +got):\n%s", diff)
			}

			// The report is true: exactly what it calls created or replaced changed.
			var touched []string
			for _, r := range results {
				for _, file := range r.Files {
					if r.Action != certs.Kept {
						touched = append(touched, filepath.Base(file))
					}
				}
			}
			slices.Sort(touched)
			if diff := cmp.Diff(touched, changed(before, snapshot(t, opts.Dir))); diff != "" {
				t.Errorf("files that changed (-reported +found):\n%s", diff)
			}

			// And what it leaves behind is good.
			opts.Renew = false
			for _, r := range initialize(t, opts) {
				if r.Action != certs.Kept {
					t.Errorf("the next run would not keep it: %s", r)
				}
			}
		})
	}
}

func TestAnAuthorityOfOnesOwnIsUsed(t *testing.T) {
	opts := options(t)
	initialize(t, opts)
	remove(t, opts.Dir, "tls.crt", "tls.key", "apiserver.crt", "apiserver.key", "auditor.crt", "auditor.key", "webhook.kubeconfig")
	certPEM, keyPEM := rsaAuthority(t, x509.KeyUsageCertSign)
	write(t, opts.Dir, "ca.crt", certPEM)
	write(t, opts.Dir, "ca.key", keyPEM)
	initialize(t, opts)

	cert := readCertificate(t, filepath.Join(opts.Dir, "tls.crt"))
	if err := cert.CheckSignatureFrom(readCertificate(t, filepath.Join(opts.Dir, "ca.crt"))); err != nil {
		t.Error(err)
	}
	if _, err := tls.LoadX509KeyPair(filepath.Join(opts.Dir, "tls.crt"), filepath.Join(opts.Dir, "tls.key")); err != nil {
		t.Error(err)
	}
}
