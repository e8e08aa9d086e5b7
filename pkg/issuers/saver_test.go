package issuers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"

	"tokenreview.dev/webhook/internal/issuertest"
)

// fetchedFor is keys as they are saved.
func fetchedFor(t *testing.T, id string) *fetched {
	t.Helper()
	document := issuertest.KeySet(issuertest.NewKey(id, jwa.ES256))
	set, err := ParseKeySet(document)
	if err != nil {
		t.Fatal(err)
	}
	return &fetched{answer: answer{set: set, document: document}, at: time.Now().Round(0)}
}

func newSavedFile(t *testing.T) *savedKeys {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return newSavedKeys(dir, Config{URL: "https://issuer.example"})
}

func TestTheLatestKeysAreSavedBeforeTheEnd(t *testing.T) {
	file := newSavedFile(t)
	saves := 0
	s := newSaver(file, func(err error) {
		saves++
		if err != nil {
			t.Error(err)
		}
	})
	for _, id := range []string{"a", "b", "c"} {
		s.save(fetchedFor(t, id))
	}
	s.start()
	s.close()
	restored, err := file.restore()
	if err != nil || !restored.set.has("c") || saves != 1 {
		t.Errorf("expected the last keys to be saved once, got %d times, error %v", saves, err)
	}
}

// Nothing waits for a file system that hangs, and people are told.
func TestSavingThatHangsIsToldOf(t *testing.T) {
	file := newSavedFile(t)
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := newSaver(file, func(error) { <-release }) // as slow as what it is told of
		s.start()
		s.save(fetchedFor(t, "a"))
		synctest.Wait()
		begun := time.Now()
		s.begun.Store(&begun)
		if err := s.problem(); err != nil {
			t.Errorf("expected no problem yet, got %v", err)
		}
		time.Sleep(savePatience + time.Second)
		if err := s.problem(); err == nil || !strings.Contains(err.Error(), "no end of it since") || !strings.Contains(err.Error(), file.path) {
			t.Errorf("expected a problem, got %v", err)
		}
		start := time.Now()
		s.save(fetchedFor(t, "b"))
		s.close()
		if took := time.Since(start); took != closeWait {
			t.Errorf("expected to go on after %s, got %s", closeWait, took)
		}
		close(release)
		<-s.done
	})
}

// Whatever the file was before, nobody else can write what is saved.
func TestSavedFilesAreOurOwn(t *testing.T) {
	file := newSavedFile(t)
	for _, mode := range []os.FileMode{0o666, 0o644, 0} {
		if err := os.WriteFile(file.path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file.path, mode); err != nil {
			t.Fatal(err)
		}
		if err := file.save(fetchedFor(t, "a")); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(file.path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("expected mode 0600 in the place of %04o, got %04o, error %v", mode, info.Mode().Perm(), err)
		}
		if _, err := file.restore(); err != nil {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
}

// Where the next process would use nothing, this one says so.
func TestNothingIsSavedWhereOthersCanWrite(t *testing.T) {
	file := newSavedFile(t)
	if err := os.Chmod(file.directory(), 0o770); err != nil {
		t.Fatal(err)
	}
	if err := file.save(fetchedFor(t, "a")); err == nil || !strings.Contains(err.Error(), "save keys: ") || !strings.Contains(err.Error(), "others can write it (mode 0770)") {
		t.Errorf("expected an error that says so, got %v", err)
	}
	if left, _ := os.ReadDir(file.directory()); len(left) != 0 {
		t.Errorf("expected nothing to be written, got %v", left)
	}
}

func TestTheNameOfAFileTellsWhatIsInIt(t *testing.T) {
	names := map[string]bool{}
	for _, config := range []Config{
		{URL: "https://issuer.example"},
		{URL: "https://issuer.example/other"},
		{URL: "https://issuer.example", Keys: KeysConfig{JWKSURL: "https://issuer.example/keys"}},
		{URL: "https://issuer.example", Keys: KeysConfig{DiscoveryURL: "https://elsewhere.example/"}},
		{URL: "https://issuer.example", Keys: KeysConfig{CertificateAuthority: []byte("a")}},
	} {
		name := filepath.Base(newSavedKeys("state", config).path)
		if names[name] || !strings.HasPrefix(name, "keys-issuer.example-") {
			t.Errorf("expected a name of its own for %+v, got %s", config, name)
		}
		names[name] = true
	}
	for url, prefix := range map[string]string{
		"https://[::1]:8443/a":                      "keys-___1__8443-",
		"https://" + strings.Repeat("a", 250) + "/": "keys-" + strings.Repeat("a", 100) + "-",
		"https://../../etc/":                        "keys-..-",
	} {
		path := newSavedKeys("state", Config{URL: url}).path
		if filepath.Dir(path) != "state" || !strings.HasPrefix(filepath.Base(path), prefix) || len(filepath.Base(path)) > 140 {
			t.Errorf("%s: got %s", url, path)
		}
	}
}
