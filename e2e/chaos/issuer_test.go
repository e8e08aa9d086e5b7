package chaos

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"

	"tokenreview.dev/webhook/e2e/cluster"
	"tokenreview.dev/webhook/internal/issuertest"
)

// publishedKeys is how many keys an issuer that rotates them has at a time: tokens of the
// last few remain good.
const publishedKeys = 4

// issuer is an issuer's process, and its private keys, which the process does not have.
type issuer struct {
	settings
	// name is the issuer's short name in the configuration.
	name string
	// stranger is the key of strangerFile.
	stranger issuertest.Key
	process  *cluster.Process

	mu     sync.Mutex
	keys   []issuertest.Key
	serial int
}

// newIssuer makes an issuer with one key, which does not run yet.
func newIssuer(t *testing.T, authority *cluster.Authority, name string) *issuer {
	t.Helper()
	pair := authority.Server(t, name)
	port := cluster.ReservePort(t)
	i := &issuer{
		settings: settings{
			URL:      fmt.Sprintf("https://127.0.0.1:%d", port),
			Port:     port,
			CertFile: pair.CertificateFile,
			KeyFile:  pair.KeyFile,
			Dir:      t.TempDir(),
		},
		name:     name,
		stranger: issuertest.NewKey(name+"-stranger", jwa.ES256),
	}
	i.write(t, strangerFile, issuertest.KeySet(i.stranger))
	i.answers(t, well)
	i.rotate(t)
	return i
}

// start runs the issuer and waits until it serves.
func (i *issuer) start(t *testing.T) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(i.settings)
	if err != nil {
		t.Fatal(err)
	}
	i.process = cluster.Run(t, cluster.Command{Name: "issuer-" + i.name, Path: program, Env: []string{issuerSettings + "=" + string(encoded)}})
	cluster.Eventually(t, "the issuer serves", time.Minute, func() error {
		if err := i.process.Exited(); err != nil {
			return err
		}
		connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", i.Port))
		if err == nil {
			_ = connection.Close()
		}
		return err
	})
}

// answers says how the issuer answers from now on.
func (i *issuer) answers(t *testing.T, m mode) {
	t.Helper()
	i.write(t, modeFile, []byte(m))
}

// rotate publishes a new key beside the last few, and signs with it at once.
func (i *issuer) rotate(t *testing.T) {
	t.Helper()
	i.mu.Lock()
	i.serial++
	keys := append(i.keys[max(0, len(i.keys)+1-publishedKeys):len(i.keys):len(i.keys)],
		issuertest.NewKey(fmt.Sprintf("%s-%d", i.name, i.serial), jwa.ES256))
	i.mu.Unlock()
	i.write(t, keysFile, issuertest.KeySet(keys...))
	i.mu.Lock()
	i.keys = keys
	i.mu.Unlock()
}

// key is the one that signs now.
func (i *issuer) key() issuertest.Key {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keys[len(i.keys)-1]
}

// requests counts those for a path; an empty mode counts those in any.
func (i *issuer) requests(t *testing.T, path string, m mode) int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(i.Dir, requestsFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	count := 0
	for line := range bytes.Lines(data) {
		at, in, _ := strings.Cut(strings.TrimSuffix(string(line), "\n"), " ")
		if at == path && (m == "" || m == mode(in)) {
			count++
		}
	}
	return count
}

// write replaces a file of the issuer's in one step.
func (i *issuer) write(t *testing.T, name string, content []byte) {
	t.Helper()
	path := filepath.Join(i.Dir, name)
	if err := os.WriteFile(path+".next", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".next", path); err != nil {
		t.Fatal(err)
	}
}
