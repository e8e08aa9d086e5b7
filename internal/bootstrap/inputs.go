package bootstrap

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tokenreview.dev/webhook/internal/certs"
	"tokenreview.dev/webhook/internal/regularfile"
	"tokenreview.dev/webhook/pkg/config"
)

// inputs is all that a target's files are made of.
type inputs struct {
	Options
	// config are the configuration, named webhook.yaml, and the files that it names, by
	// their names within configDir.
	config []File
	// auditFile is where the audit log goes; empty is standard output.
	auditFile string
	// serving is the webhook's pair, and caller kube-apiserver's.
	serving, caller pair
	// ca is the certificate of the authority. kubeconfig is kube-apiserver's: it names the
	// pair's files, or for targets that are not on nodes holds them.
	ca, kubeconfig []byte
}

type pair struct{ certificate, key []byte }

// apiServerFlag is one of kube-apiserver's.
type apiServerFlag struct{ Name, Value string }

// apiServerFlags are those that make kube-apiserver ask the webhook.
func (in inputs) apiServerFlags() []apiServerFlag {
	return []apiServerFlag{
		{"authentication-token-webhook-config-file", kubeconfigFile},
		{"authentication-token-webhook-version", "v1"},
		{"authentication-token-webhook-cache-ttl", duration(in.CacheTTL)},
	}
}

// apiServerFlagLines are those flags, each on a line of its own after the indentation.
func (in inputs) apiServerFlagLines(indentation string) string {
	var lines []string
	for _, flag := range in.apiServerFlags() {
		lines = append(lines, indentation+"--"+flag.Name+"="+flag.Value)
	}
	return strings.Join(lines, "\n")
}

// duration is how people write one: 2m, not 2m0s.
func duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// readConfig returns the configuration and the files that it names. Those are named by
// where they will be, and are read at the same place relative to the configuration.
func readConfig(name string, content []byte, loaded *config.Config) ([]File, error) {
	files := []File{{Name: filepath.Base(configFile), Content: content}}
	var errs []error
	seen := map[string]bool{files[0].Name: true}
	for _, file := range loaded.Files() {
		within, err := filepath.Rel(configDir, file.Path)
		if err != nil || !filepath.IsLocal(within) {
			errs = append(errs, fmt.Errorf("%s: %s is not where the webhook can read it: write %s/%s, and have the file beside %s",
				file.Setting, file.Path, configDir, filepath.Base(file.Path), name))
			continue
		}
		if seen[within] {
			continue
		}
		seen[within] = true
		content, err := regularfile.Read(filepath.Join(filepath.Dir(name), within), config.MaxFileSize)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %s is taken from beside %s: %w", file.Setting, file.Path, name, err))
			continue
		}
		files = append(files, File{Name: within, Content: content})
	}
	if log := loaded.Webhook.Audit.Path; log != "" && log != "-" && !strings.HasPrefix(filepath.Clean(log), stateDir+"/") {
		errs = append(errs, fmt.Errorf("WebhookConfiguration: spec.audit.path: %s is not where the webhook can write: choose a file in %s, or leave it out, and the log goes to standard output",
			log, stateDir))
	}
	return files, errors.Join(errs...)
}

// readPKI reads what package certs has made or kept.
func (in *inputs) readPKI(dir string) error {
	for name, content := range map[string]*[]byte{
		certs.Serving + ".crt":   &in.serving.certificate,
		certs.Serving + ".key":   &in.serving.key,
		certs.APIServer + ".crt": &in.caller.certificate,
		certs.APIServer + ".key": &in.caller.key,
		certs.Authority + ".crt": &in.ca,
		certs.Kubeconfig:         &in.kubeconfig,
	} {
		var err error
		if *content, err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// shellDir is Options.Dir for commands that an operator copies.
func (in inputs) shellDir() string { return shellWord(in.Dir) }

// shellWord is a text as one word for a shell.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./@:=+,", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
