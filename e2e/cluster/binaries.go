package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Binaries are the paths of the programs that make up a control plane.
type Binaries struct {
	Etcd      string
	APIServer string
	Kubectl   string
	// Kubeadm is not part of it: it makes control planes elsewhere.
	Kubeadm string
}

// build is one way of building the Binaries, and what its result depends on.
type build struct {
	// source is the folder of the module that pins the versions.
	source     string
	kubernetes string
	etcd       string
	// fingerprint changes with everything the programs are made from.
	fingerprint string
}

// program is one of the programs to build.
type program struct {
	name, version, pkg, ldflags string
}

// BuildBinaries returns the programs that e2e/kubernetes/go.mod pins, out of the
// user's cache folder where they have been built before. Two runs at a time build
// once: the second waits for the first. It tells progress what takes its time.
func BuildBinaries(ctx context.Context, progress io.Writer) (Binaries, error) {
	b, err := describeBuild(ctx)
	if err != nil {
		return Binaries{}, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return Binaries{}, fmt.Errorf("find a folder to keep kube-apiserver in: %w", err)
	}
	cache = filepath.Join(cache, "tokenreview-webhook")
	if err := os.MkdirAll(cache, 0o750); err != nil {
		return Binaries{}, err
	}
	dir := filepath.Join(cache, fmt.Sprintf("kubernetes-%s-etcd-%s-%s", b.kubernetes, b.etcd, b.fingerprint))
	binaries := Binaries{
		Etcd:      filepath.Join(dir, "etcd"),
		APIServer: filepath.Join(dir, "kube-apiserver"),
		Kubectl:   filepath.Join(dir, "kubectl"),
		Kubeadm:   filepath.Join(dir, "kubeadm"),
	}
	unlock, err := lockFile(dir+".lock", func() {
		fmt.Fprintln(progress, "e2e: another run is building kube-apiserver, waiting for it")
	})
	if err != nil {
		return Binaries{}, err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return binaries, nil
	}

	// The folder appears under its name only when all of it is there.
	partial := dir + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return Binaries{}, err
	}
	for _, p := range b.programs() {
		if err := b.compile(ctx, p, partial, progress); err != nil {
			return Binaries{}, err
		}
	}
	if err := os.Rename(partial, dir); err != nil {
		return Binaries{}, err
	}
	return binaries, nil
}

// BuildWebhook builds the webhook of this repository into dir and returns its
// path. It tells progress that it does.
func BuildWebhook(ctx context.Context, dir string, progress io.Writer) (string, error) {
	module, err := moduleDir(ctx)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "webhook")
	fmt.Fprintln(progress, "e2e: building the webhook")
	// As `make build` does, so that what that has compiled is not compiled again.
	_, err = goCommand(ctx, "build", "-C", filepath.Dir(module), "-trimpath", "-buildvcs=false", "-o", path, "./cmd/webhook")
	return path, err
}

func describeBuild(ctx context.Context) (build, error) {
	module, err := moduleDir(ctx)
	if err != nil {
		return build{}, err
	}
	b := build{source: filepath.Join(module, "kubernetes")}

	manifest := filepath.Join(b.source, "go.mod")
	// Reading the file needs no network, and neither does a run whose binaries are
	// in the cache.
	out, err := goCommand(ctx, "mod", "edit", "-json", manifest)
	if err != nil {
		return build{}, err
	}
	var mod struct {
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		return build{}, fmt.Errorf("read %s: %w", manifest, err)
	}
	for _, require := range mod.Require {
		switch require.Path {
		case "k8s.io/kubernetes":
			b.kubernetes = require.Version
		case "go.etcd.io/etcd/server/v3":
			b.etcd = require.Version
		}
	}
	if b.kubernetes == "" || b.etcd == "" {
		return build{}, fmt.Errorf("%s requires no k8s.io/kubernetes or no go.etcd.io/etcd/server/v3", manifest)
	}

	goVersion, err := goCommand(ctx, "env", "-C", b.source, "GOVERSION")
	if err != nil {
		return build{}, err
	}
	hash := sha256.New()
	fmt.Fprintf(hash, "%s %s %s\n", goVersion, runtime.GOOS, runtime.GOARCH)
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(b.source, name))
		if err != nil {
			return build{}, err
		}
		fmt.Fprintf(hash, "%s %d\n%s", name, len(data), data)
	}
	for _, p := range b.programs() {
		fmt.Fprintf(hash, "%s %s %s\n", p.name, p.pkg, p.ldflags)
	}
	b.fingerprint = hex.EncodeToString(hash.Sum(nil)[:6])
	return b, nil
}

func (b build) programs() []program {
	// What a release's build sets: otherwise the programs say they are v0.0.0.
	major, minor, _ := strings.Cut(strings.TrimPrefix(b.kubernetes, "v"), ".")
	minor, _, _ = strings.Cut(minor, ".")
	const version = "k8s.io/component-base/version."
	ldflags := strings.Join([]string{
		"-s", "-w",
		"-X", version + "gitVersion=" + b.kubernetes,
		"-X", version + "gitMajor=" + major,
		"-X", version + "gitMinor=" + minor,
	}, " ")
	return []program{
		{name: "etcd", version: b.etcd, pkg: "go.etcd.io/etcd/server/v3", ldflags: "-s -w"},
		{name: "kube-apiserver", version: b.kubernetes, pkg: "k8s.io/kubernetes/cmd/kube-apiserver", ldflags: ldflags},
		{name: "kubectl", version: b.kubernetes, pkg: "k8s.io/kubernetes/cmd/kubectl", ldflags: ldflags},
		{name: "kubeadm", version: b.kubernetes, pkg: "k8s.io/kubernetes/cmd/kubeadm", ldflags: ldflags},
	}
}

func (b build) compile(ctx context.Context, p program, dir string, progress io.Writer) error {
	hint := ""
	if p.name == "kube-apiserver" {
		hint = ", about five minutes the first time"
	}
	fmt.Fprintf(progress, "e2e: building %s %s from its Go module%s\n", p.name, p.version, hint)
	start := time.Now()
	_, err := goCommand(ctx, "build", "-C", b.source, "-ldflags="+p.ldflags, "-o", filepath.Join(dir, p.name), p.pkg)
	if err != nil {
		return err
	}
	fmt.Fprintf(progress, "e2e: built %s in %s\n", p.name, time.Since(start).Round(time.Second))
	return nil
}

// moduleDir is the folder of the module e2e, wherever in it the caller runs.
func moduleDir(ctx context.Context) (string, error) {
	out, err := goCommand(ctx, "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return "", err
	}
	return string(bytes.TrimSpace(out)), nil
}

// goCommand runs the go command for this machine and returns what it prints.
func goCommand(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out, nil
}
