package issuers_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"golang.org/x/sys/unix"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/reason"
)

var away = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })

// process is one process's view of a state directory: what it was told of saving and
// restoring, and its clock.
type process struct {
	dir               string
	now               time.Time
	saved, unsaved    atomic.Int64
	restoring, saving atomic.Pointer[error]
}

func (p *process) start(t *testing.T, configs ...issuers.Config) *issuers.Set {
	t.Helper()
	if p.now.IsZero() {
		p.now = now
	}
	set, err := issuers.NewSet(configs, nil, issuers.Options{
		Now: func() time.Time { return p.now }, StateDir: p.dir,
		OnSave: func(_ string, err error) {
			if err != nil {
				p.saving.Store(&err)
				p.unsaved.Add(1)
				return
			}
			p.saved.Add(1)
		},
		OnRestore: func(_ string, err error) { p.restoring.Store(&err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close(nil) })
	set.AwaitFirstFetch(t.Context())
	return set
}

// runOnce fetches and saves the keys of the issuer as another process did before.
func runOnce(t *testing.T, dir string, config issuers.Config) (file string) {
	t.Helper()
	p := &process{dir: dir}
	p.start(t, config).Close(nil) // which waits for what is being saved
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) != 1 || p.saved.Load() != 1 {
		t.Fatalf("expected the keys in one file, got %v, error %v", files, err)
	}
	return files[0]
}

func stateDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestKeysThatWereSavedServeWhileTheIssuerIsAway(t *testing.T) {
	for name, with := range map[string]func(*issuers.Config, *issuertest.Issuer){
		"found through discovery": func(*issuers.Config, *issuertest.Issuer) {},
		"found through a discovery document elsewhere": func(c *issuers.Config, i *issuertest.Issuer) {
			c.Keys.DiscoveryURL = i.Address() + "/" + "there/.well-known/openid-configuration"
		},
		"at a configured URL": func(c *issuers.Config, i *issuertest.Issuer) { c.Keys.JWKSURL = i.KeySetURL() },
	} {
		t.Run(name, func(t *testing.T) {
			issuer := startIssuer(t, "")
			config := remote(issuer)
			with(&config, issuer)
			dir := stateDir(t)
			file := runOnce(t, dir, config)
			info, err := os.Stat(file)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("expected the file's mode to be 0600, got %v, error %v", info.Mode(), err)
			}
			if !strings.Contains(filepath.Base(file), "127.0.0.1") {
				t.Errorf("expected the file's name to tell the issuer, got %s", file)
			}

			issuer.Answer(away)
			later := &process{dir: dir, now: now.Add(23 * time.Hour)}
			set := later.start(t, config)
			claims := claims{"iss": issuer.URL, "exp": later.now.Add(time.Hour).Unix()}
			expectProven(t, set, issuer.Sign(valid().With(claims)))
			status := set.Statuses()[0]
			if status.Err != nil || status.LastErr == nil || !status.Restored || !status.Fetched.Equal(now) {
				t.Errorf("expected the status to tell, got %+v", status)
			}

			stale := &process{dir: dir, now: now.Add(25 * time.Hour)}
			if err := stale.start(t, config).Statuses()[0].Err; err == nil || !strings.Contains(err.Error(), "25h0m0s old, more than maxStaleness (24h0m0s)") {
				t.Errorf("expected keys beyond maxStaleness to be refused, got %v", err)
			}
		})
	}
}

func TestAKeyThatWasWithdrawnMeanwhileIsForgottenAtTheFirstFetch(t *testing.T) {
	issuer := startIssuer(t, "")
	dir := stateDir(t)
	file := runOnce(t, dir, remote(issuer))
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	withdrawn := issuer.Key()
	issuer.Rotate(jwa.RS256)
	second := &process{dir: dir}
	set := second.start(t, remote(issuer))
	expectProven(t, set, issuer.Sign(valid().With(claims{"iss": issuer.URL})))
	verification, err := set.Verify(t.Context(), withdrawn.Sign(valid().With(claims{"iss": issuer.URL})), nil)
	if err != nil || verification.Refusal.Code != reason.KeyUnknown {
		t.Errorf("expected the withdrawn key to verify nothing, got %q, error %v", verification.Refusal, err)
	}
	if status := set.Statuses()[0]; status.Restored {
		t.Errorf("expected the keys to be the issuer's, got %+v", status)
	}
	set.Close(nil)
	if after, err := os.ReadFile(file); err != nil || bytes.Equal(before, after) {
		t.Errorf("expected the new keys to be saved, error %v", err)
	}
}

// Whatever stands in the place of saved keys, the issuer's own serve, and are saved
// where that is possible.
func TestSavedKeysThatCannotBeUsedAreLeftAlone(t *testing.T) {
	replace := func(old, new string) func(string) error {
		return func(file string) error {
			data, err := os.ReadFile(file)
			if err == nil && !bytes.Contains(data, []byte(old)) {
				err = fmt.Errorf("%s does not stand in the file: %s", old, data)
			}
			if err != nil {
				return err
			}
			return os.WriteFile(file, bytes.Replace(data, []byte(old), []byte(new), 1), 0o600)
		}
	}
	write := func(content string) func(string) error {
		return func(file string) error { return os.WriteFile(file, []byte(content), 0o600) }
	}
	for name, test := range map[string]struct {
		spoil   func(file string) error
		text    string
		unsaved bool
	}{
		"nothing":                           {write(""), "not keys that this program has saved", false},
		"garbage":                           {write("\x00\xff{"), "not keys that this program has saved", false},
		"a plain key set":                   {write(`{"keys":[]}`), "not keys that this program has saved", false},
		"only a part":                       {func(file string) error { return os.Truncate(file, 200) }, "not keys that this program has saved", false},
		"another format":                    {replace("issuer-keys/v1", "issuer-keys/v2"), `expected format "tokenreview.dev/issuer-keys/v1", got "tokenreview.dev/issuer-keys/v2"`, false},
		"another issuer's keys":             {replace(`"issuer":"https://127.0.0.1`, `"issuer":"https://127.0.0.2`), "its keys are those of", false},
		"keys from elsewhere":               {replace(`"url":"https://127.0.0.1`, `"url":"https://127.0.0.2`), "its keys are those of", false},
		"keys of another authority":         {replace(`"certificateAuthority":"`, `"certificateAuthority":"0`), "another certificate authority", false},
		"a member that nobody knows":        {replace(`{"format"`, `{"note":"","format"`), "not keys that this program has saved", false},
		"keys that are none":                {replace(`"kty":"RSA"`, `"kty":"oct"`), "no key that can verify a signature", false},
		"a time that is none":               {replace(`"fetched":"2026`, `"fetched":"20X6`), "not keys that this program has saved", false},
		"a file that others can write":      {func(file string) error { return os.Chmod(file, 0o620) }, "others can write it (mode 0620)", false},
		"a directory that others can write": {func(file string) error { return os.Chmod(filepath.Dir(file), 0o777) }, "others can write it (mode 0777)", true},
		"a pipe": {func(file string) error {
			return errors.Join(os.Remove(file), unix.Mkfifo(file, 0o600))
		}, "not a regular file", false},
		"a directory": {func(file string) error {
			return errors.Join(os.Remove(file), os.Mkdir(file, 0o700))
		}, "not a regular file", true},
		"a file beyond the limit": {func(file string) error { return os.Truncate(file, 2<<20) }, "larger than", false},
	} {
		t.Run(name, func(t *testing.T) {
			issuer := startIssuer(t, "")
			dir := stateDir(t)
			file := runOnce(t, dir, remote(issuer))
			if err := test.spoil(file); err != nil {
				t.Fatal(err)
			}

			release := make(chan struct{})
			issuer.Answer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				<-release
				issuer.Genuine(w, r)
			}))
			next := &process{dir: dir, now: now}
			set, err := issuers.NewSet([]issuers.Config{remote(issuer)}, nil, issuers.Options{
				Now: func() time.Time { return now }, StateDir: dir,
				OnRestore: func(_ string, err error) { next.restoring.Store(&err) },
				OnSave:    func(_ string, err error) { next.saving.Store(&err) },
			})
			if err != nil {
				t.Fatal(err)
			}
			if told := next.restoring.Load(); told == nil || !strings.Contains((*told).Error(), test.text) || !strings.Contains((*told).Error(), filepath.Dir(file)) {
				t.Errorf("expected to be told where and %q, got %v", test.text, told)
			}
			if set.Statuses()[0].Err == nil {
				t.Error("expected the saved keys not to serve")
			}
			close(release)
			set.AwaitFirstFetch(t.Context())
			expectProven(t, set, issuer.Sign(valid().With(claims{"iss": issuer.URL})))
			set.Close(nil)
			if failed := *next.saving.Load() != nil; failed != test.unsaved || (set.Statuses()[0].SaveErr != nil) != test.unsaved {
				t.Errorf("expected a failure to save to be %v, got %v and %v", test.unsaved, *next.saving.Load(), set.Statuses()[0].SaveErr)
			}
		})
	}
}

func TestAKeySetThatIsEmptiedNeverReplacesGoodKeys(t *testing.T) {
	issuer := startIssuer(t, "")
	dir := stateDir(t)
	file := runOnce(t, dir, remote(issuer))
	before, _ := os.ReadFile(file)
	issuer.Answer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/keys" {
			issuer.Genuine(w, r)
			return
		}
		_, _ = w.Write([]byte(`{"keys":[]}`))
	}))
	set := (&process{dir: dir}).start(t, remote(issuer))
	expectProven(t, set, issuer.Sign(valid().With(claims{"iss": issuer.URL})))
	if err := set.Statuses()[0].LastErr; err == nil || !strings.Contains(err.Error(), "no key that can verify") {
		t.Errorf("expected the status to tell, got %v", err)
	}
	set.Close(nil)
	if after, _ := os.ReadFile(file); !bytes.Equal(before, after) {
		t.Error("expected the saved keys to stay")
	}
}

func TestADirectoryThatCannotBeWrittenCostsNoKeys(t *testing.T) {
	issuer := startIssuer(t, "")
	p := &process{dir: filepath.Join(t.TempDir(), "missing")}
	set := p.start(t, remote(issuer))
	expectProven(t, set, issuer.Sign(valid().With(claims{"iss": issuer.URL})))
	set.Close(nil)
	if err := set.Statuses()[0].SaveErr; err == nil || p.unsaved.Load() != 1 || !strings.Contains(err.Error(), "save keys: ") || !strings.Contains(err.Error(), p.dir) {
		t.Errorf("expected to be told, got %v", err)
	}
	if p.restoring.Load() != nil {
		t.Errorf("expected that there is nothing to restore, got %v", *p.restoring.Load())
	}
}

func TestKeysOfThisMachineAreNotSaved(t *testing.T) {
	key := issuertest.NewKey("key", jwa.ES256)
	dir, file := stateDir(t), filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, issuertest.KeySet(key), 0o600); err != nil {
		t.Fatal(err)
	}
	set := (&process{dir: dir}).start(t,
		issuers.Config{Name: "a", URL: issuerURL, Keys: issuers.KeysConfig{JWKSFile: file}},
		issuers.Config{Name: "b", URL: otherURL, Keys: issuers.KeysConfig{JWKS: issuertest.KeySet(key)}})
	set.Close(nil)
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("expected an empty directory, got %v, error %v", left, err)
	}
}

func TestWhatAKilledProcessLeftBehindIsRemoved(t *testing.T) {
	issuer := startIssuer(t, "")
	dir := stateDir(t)
	file := runOnce(t, dir, remote(issuer))
	old, recent := filepath.Join(dir, "."+filepath.Base(file)+"123"), filepath.Join(dir, "."+filepath.Base(file)+"456")
	for _, path := range []string{old, recent} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(old, long, long); err != nil {
		t.Fatal(err)
	}
	(&process{dir: dir}).start(t, remote(issuer)).Close(nil)
	if _, err := os.Stat(old); err == nil {
		t.Error("expected the old file to be gone")
	}
	if _, err := os.Stat(recent); err != nil {
		t.Errorf("expected another process's file to stay, got %v", err)
	}
}

// What is in memory is as new as what was saved, or newer.
func TestKeysInMemoryAreNotReplacedBySavedOnes(t *testing.T) {
	issuer := startIssuer(t, "")
	dir := stateDir(t)
	file := runOnce(t, dir, remote(issuer))
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	issuer.Rotate(jwa.RS256)
	before := (&process{dir: dir}).start(t, remote(issuer))
	issuer.Answer(away)
	if err := os.WriteFile(file, old, 0o600); err != nil {
		t.Fatal(err)
	}
	renamed := remote(issuer)
	renamed.Name = "renamed"
	after, err := issuers.NewSet([]issuers.Config{renamed}, before, issuers.Options{Now: func() time.Time { return now }, StateDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	before.Close(after)
	defer after.Close(nil)
	after.AwaitFirstFetch(t.Context())
	expectProven(t, after, issuer.Sign(valid().With(claims{"iss": issuer.URL})))
}
