// Package bootstrap writes what it takes to run the webhook in one place: on the
// control-plane nodes of a kind of cluster, under systemd, or in the cluster.
//
// From one configuration it makes, in one folder, the certificates of package certs, a
// mirror of the files that every node gets, and what tells that place's kube-apiserver
// about them. It touches no cluster and no node: what it wrote is looked at and then
// applied by the operator, and running it again changes only what has changed.
//
// Each way of running the webhook is a target, with a file of its own here and its texts
// in templates. What all have in common is in layout.go, inputs.go and pod.go.
package bootstrap

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"tokenreview.dev/webhook/internal/certs"
	"tokenreview.dev/webhook/internal/regularfile"
	"tokenreview.dev/webhook/pkg/config"
)

// Options say what Write writes. Fields that are no flag of the target must be empty.
type Options struct {
	// Target is the name of one of Targets.
	Target string
	// ConfigFile is the webhook's configuration. The files that it names are read beside it.
	ConfigFile string
	// Dir is the folder for everything, created with mode 0700 if missing.
	Dir string
	// Image is the name by which nodes know the webhook's image. Where nodes do not pull
	// it, the default is what `make image` calls the one of Version.
	Image string
	// Version is that of this binary.
	Version string
	// CacheTTL is how long kube-apiserver caches an answer, in whole seconds.
	CacheTTL time.Duration
	// Renew replaces the certificates and keys but those of the authority.
	Renew bool
	// TalosVersion is the version of Talos, such as "1.13"; target talos alone.
	TalosVersion string
	// MachineConfig is a file with the machine configuration of a control-plane node, to
	// see whether what is written can be applied to it; target talos alone.
	MachineConfig string
	// ClusterIP is the address of the webhook's Service; target kubernetes alone.
	ClusterIP string
	// KubeadmConfig is a file with the ClusterConfiguration of a cluster that there is;
	// target kubeadm alone.
	KubeadmConfig string
	// Now tells the time; nil is time.Now.
	Now func() time.Time
}

// DefaultCacheTTL is that of kube-apiserver.
const DefaultCacheTTL = 2 * time.Minute

// Target is one way of running the webhook.
type Target struct {
	// Name and Summary are for people.
	Name, Summary string
	// pulls says that nodes pull the image from a registry: it has no default.
	pulls bool
	// flags are those that not every target has.
	flags []string
	// options checks their values; nil means that any will do.
	options func(*Options) error
	// certs changes what the certificates are valid for, which is loopback; nil leaves it.
	certs func(Options, *certs.Options)
	// node says that the files of layout.go are written for the nodes.
	node bool
	// apiServer says that of those only kube-apiserver's are.
	apiServer bool
	// readable says that the files for nodes keep their owner there, who is not root.
	readable bool
	// files are those of the target, by their names in Options.Dir.
	files func(inputs) ([]File, error)
	// next tells the operator what to do with the files.
	next func(inputs) string
}

// Targets are all there are, in the order in which people are told of them.
func Targets() []Target {
	return []Target{talos(), kubeadm(), rke2(), k3s(), kind(), systemd(), kubernetes()}
}

func (o *Options) target() (Target, error) {
	targets := Targets()
	i := slices.IndexFunc(targets, func(t Target) bool { return t.Name == o.Target })
	if i < 0 {
		names := make([]string, len(targets))
		for i, target := range targets {
			names[i] = target.Name
		}
		return Target{}, fmt.Errorf("no target %q: choose one of %s", o.Target, strings.Join(names, ", "))
	}
	return targets[i], nil
}

// imageName is a reference to an image, with registry, tag and digest or without.
var imageName = regexp.MustCompile(`^[A-Za-z0-9]+([._-]+[A-Za-z0-9]+)*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$`)

func (o *Options) validate(target Target) error {
	var errs []error
	if o.ConfigFile == "" {
		errs = append(errs, errors.New("config: must not be empty"))
	}
	if o.Dir == "" {
		errs = append(errs, errors.New("dir: must not be empty"))
	}
	if o.CacheTTL < time.Second || o.CacheTTL%time.Second != 0 {
		errs = append(errs, fmt.Errorf("cache-ttl: expected at least a second and whole ones, got %s", o.CacheTTL))
	}
	if o.Image != "" && !imageName.MatchString(o.Image) {
		errs = append(errs, fmt.Errorf("image: %q is no image's name, such as registry.example.com/tokenreview-webhook:v1.0.0", o.Image))
	}
	if target.pulls && o.Image == "" {
		errs = append(errs, fmt.Errorf("image: nodes pull it, so target %s has no default: push the archive of `make image` to a registry of yours and give its name there, such as registry.example.com/tokenreview-webhook:v1.0.0", target.Name))
	}
	for _, flag := range []struct{ name, value string }{
		{"image", o.Image},
		{"talos-version", o.TalosVersion},
		{"machine-config", o.MachineConfig},
		{"cluster-ip", o.ClusterIP},
		{"kubeadm-config", o.KubeadmConfig},
	} {
		if flag.value != "" && !slices.Contains(target.flags, flag.name) {
			errs = append(errs, fmt.Errorf("target %s has no --%s", target.Name, flag.name))
		}
	}
	if target.options != nil {
		errs = append(errs, target.options(o))
	}
	return errors.Join(errs...)
}

// Report is what Write did.
type Report struct {
	// Certificates are what became of those in the folder pki.
	Certificates []certs.Result
	// Files are what became of the others, in the order of their names.
	Files []Result
	// Warnings are those of the configuration.
	Warnings config.Errors
	// Next tells the operator what to do with all this.
	Next string
}

// Write makes everything for Options.Target in Options.Dir. Certificates that are there
// and good are kept, everything else is made anew: it is not for editing. Nothing is
// changed before all is known to be right; then each file is replaced whole, unless it is
// as wanted already. Two Writes must not run in one folder at the same time.
func Write(options Options) (*Report, error) {
	target, err := options.target()
	if err != nil {
		return nil, err
	}
	if err := options.validate(target); err != nil {
		return nil, err
	}
	// Not a pipe, which could keep it waiting for ever.
	content, err := regularfile.Read(options.ConfigFile, config.MaxFileSize)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	loaded, err := config.Parse(options.ConfigFile, content)
	if err != nil {
		return nil, err
	}
	if options.Image == "" {
		options.Image = "localhost/tokenreview-webhook:" + imageTag(options.Version)
	}
	in := inputs{Options: options}
	if log := loaded.Webhook.Audit.Path; log != "-" {
		in.auditFile = log
	}
	if in.config, err = readConfig(options.ConfigFile, content, loaded); err != nil {
		return nil, err
	}
	tree, err := openTree(options.Dir)
	if err != nil {
		return nil, err
	}
	wanted := certs.DefaultOptions(filepath.Join(options.Dir, "pki"))
	wanted.Renew, wanted.Now = options.Renew, options.Now
	// Files beside it, for a kubeconfig that need not change with them.
	wanted.EmbedCerts = false
	if target.certs != nil {
		target.certs(options, &wanted)
	}
	// Before there are certificates, to learn whether something is in the way.
	files, err := in.files(target)
	if err != nil {
		return nil, err
	}
	if err := tree.check(files); err != nil {
		return nil, err
	}
	report := &Report{Warnings: loaded.Warnings}
	if report.Certificates, err = certs.Init(wanted); err != nil {
		return nil, err
	}
	if err := in.readPKI(wanted.Dir); err != nil {
		return nil, err
	}
	if files, err = in.files(target); err != nil {
		return nil, err
	}
	if report.Files, err = tree.write(files); err != nil {
		return nil, err
	}
	report.Next = target.next(in)
	return report, nil
}

// files are all but the certificates.
func (in inputs) files(target Target) ([]File, error) {
	files, err := target.files(in)
	if err != nil {
		return nil, err
	}
	if target.node {
		files = append(files, in.nodeFiles()...)
	}
	if target.node || target.apiServer {
		files = append(files, in.apiServerFiles()...)
	}
	if target.readable {
		for i := range files {
			if files[i].Mode == permGroup {
				files[i].Mode = permPublic
			}
		}
	}
	return files, nil
}

// imageTag is a version as an image's tag, which knows fewer characters. What `make image`
// calls a version, by git, has no others.
func imageTag(version string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if r == '.' || r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, version), "-.")
}
