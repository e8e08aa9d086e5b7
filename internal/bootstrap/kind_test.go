package bootstrap

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The node sees the files of the machine, and their owner: somebody who is not root there.
// The folder keeps others on the machine out.
func TestTheWebhookOfKindReadsFilesThatAreNotRoots(t *testing.T) {
	options := operator(t)
	options.Target = "kind"
	t.Chdir(filepath.Dir(options.Dir))
	options.Dir = filepath.Base(options.Dir)
	mustWrite(t, options)
	for name, want := range map[string]os.FileMode{
		"": os.ModeDir | 0o700,
		"node/etc/tokenreview-webhook/config/webhook.yaml":     0o644,
		"node/etc/tokenreview-webhook/pki/tls.key":             0o644,
		"node/etc/tokenreview-webhook/apiserver/apiserver.key": 0o600,
	} {
		info, err := os.Stat(filepath.Join(options.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %s, want %s", name, info.Mode(), want)
		}
	}
	absolute, err := filepath.Abs(options.Dir)
	if err != nil {
		t.Fatal(err)
	}
	kind := string(readFile(t, filepath.Join(options.Dir, "kind.yaml")))
	if want := "\n  - hostPath: \"" + absolute + "/node/etc/tokenreview-webhook\"\n"; !strings.Contains(kind, want) {
		t.Errorf("kind.yaml has no line %q:\n%s", want, kind)
	}
}
