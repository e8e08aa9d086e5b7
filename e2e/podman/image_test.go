//go:build linux

package podman

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"debug/elf"
	"encoding/pem"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// machines are what the binaries are made for, by platform.
var machines = map[string]elf.Machine{
	"linux/amd64": elf.EM_X86_64,
	"linux/arm64": elf.EM_AARCH64,
}

func TestTheImageHoldsTheBinaryAndCertificatesAndNothingElse(t *testing.T) {
	needPodman(t)
	var platforms []string
	for _, image := range readImages(t, archive(), imageName) {
		platforms = append(platforms, image.platform)
		t.Run(image.platform, func(t *testing.T) {
			want := map[string]int64{
				"etc/": 0o755, "etc/ssl/": 0o755, "etc/ssl/certs/": 0o755,
				"etc/ssl/certs/ca-certificates.crt": 0o444,
				"webhook":                           0o555,
			}
			got := map[string]int64{}
			for name, file := range image.files {
				got[name] = file.mode
				if file.uid != 0 || file.gid != 0 || file.modified != created {
					t.Errorf("%s: owner %d:%d, modified %d; want root's and as old as the commit", name, file.uid, file.gid, file.modified)
				}
			}
			if !maps.Equal(got, want) {
				t.Errorf("files %v, want %v", got, want)
			}
			wantStatic(t, image.files["webhook"].content, machines[image.platform])
			wantAuthorities(t, image.files["etc/ssl/certs/ca-certificates.crt"].content)
		})
	}
	// The order too: with another the image has another digest.
	if want := slices.Sorted(maps.Keys(machines)); !slices.Equal(platforms, want) {
		t.Errorf("images for %q, want %q", platforms, want)
	}
}

func TestTheImageSaysWhatItIs(t *testing.T) {
	needPodman(t)
	for _, image := range readImages(t, archive(), imageName) {
		t.Run(image.platform, func(t *testing.T) {
			if image.User != "65532:65532" {
				t.Errorf("user %q, want one that kubelet sees is not root", image.User)
			}
			if !slices.Equal(image.Entrypoint, []string{"/webhook"}) || len(image.Cmd) != 0 {
				t.Errorf("it runs %q %q, want /webhook alone", image.Entrypoint, image.Cmd)
			}
			want := map[string]string{
				"org.opencontainers.image.title":       "tokenreview-webhook",
				"org.opencontainers.image.description": "Tells kube-apiserver who a bearer token speaks for",
				"org.opencontainers.image.source":      "https://tokenreview.dev/webhook",
				"org.opencontainers.image.version":     version,
				"org.opencontainers.image.revision":    commit,
			}
			if !maps.Equal(image.Labels, want) {
				t.Errorf("labels %q, want %q", image.Labels, want)
			}
		})
	}
}

// wantStatic fails the test unless a binary is for a machine and needs no library.
func wantStatic(t *testing.T, content []byte, machine elf.Machine) {
	t.Helper()
	file, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if file.Machine != machine {
		t.Errorf("the binary is for %s, want %s", file.Machine, machine)
	}
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP || segment.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary has a segment %s: it is linked when it starts", segment.Type)
		}
	}
}

func wantAuthorities(t *testing.T, content []byte) {
	t.Helper()
	authorities := 0
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			t.Fatal(err)
		}
		authorities++
	}
	// Mozilla's list has had between 110 and 170 for as long as there is one here.
	if authorities < 100 {
		t.Errorf("%d certificate authorities", authorities)
	}
}

// Who builds the commit again, elsewhere and with other habits, gets the very same file.
func TestTheImageIsReproducible(t *testing.T) {
	needPodman(t)
	dir := t.TempDir()
	copied := filepath.Join(dir, "copy")
	// As where nobody but the owner may read new files.
	const script = `set -e; umask 077; mkdir "$1"; cp -R Dockerfile Makefile go.mod go.sum cmd internal manifests pkg "$1"`
	cmd := exec.Command("sh", "-c", script, "sh", copied)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("copy the repository: %v\n%s", err, out)
	}
	again := filepath.Join(dir, "again.tar")
	if err := makeImage(copied, again, filepath.Join(dir, "context")); err != nil {
		t.Fatal(err)
	}
	if first, second := digest(t, archive()), digest(t, again); first != second {
		t.Errorf("the first has the digest %x, the second %x", first, second)
	}
}

func digest(t *testing.T, path string) [sha256.Size]byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(content)
}
