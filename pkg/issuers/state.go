package issuers

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/renameio/v2"

	"tokenreview.dev/webhook/internal/regularfile"
)

const (
	// savedFormat is what savedKeys.save writes. Another format gets another name.
	savedFormat = "tokenreview.dev/issuer-keys/v1"
	// maxSavedBytes is a key set and what stands around it.
	maxSavedBytes = maxResponseBytes + 64<<10
	// maxNameBytes is how much of an issuer's host stands in a file's name, which may have
	// 255.
	maxNameBytes = 100
)

// savedKeys is the file in the state directory that has one issuer's last keys, so
// that a process which starts while the issuer is away can go on with them. The keys
// are public; but whoever can write the file can be anyone.
type savedKeys struct {
	path string
	from origin
}

// origin is where keys come from. Those from elsewhere prove nothing.
type origin struct {
	// Issuer is the issuer's URL, URL where its keys or its discovery document are.
	Issuer string `json:"issuer"`
	URL    string `json:"url"`
	// CertificateAuthority is the SHA-256 of who vouches for that place, in
	// hexadecimal, empty for the system's roots.
	CertificateAuthority string `json:"certificateAuthority,omitempty"`
}

// savedDocument is the content of the file.
type savedDocument struct {
	Format string `json:"format"`
	origin `json:",inline"`
	// Fetched is when the keys were fetched from the issuer.
	Fetched time.Time      `json:"fetched"`
	JWKS    jsontext.Value `json:"jwks"`
}

var notInFileName = regexp.MustCompile(`[^a-zA-Z0-9.-]`)

// newSavedKeys says where in dir the keys of an issuer are saved. The file's name tells
// people whose they are, and the digest in it tells apart what is from elsewhere.
func newSavedKeys(dir string, config Config) *savedKeys {
	from := origin{Issuer: config.URL, URL: config.Keys.JWKSURL}
	if from.URL == "" {
		from.URL = config.discoveryURL()
	}
	if authority := config.Keys.CertificateAuthority; len(authority) > 0 {
		from.CertificateAuthority = digest(authority)
	}
	host := "issuer"
	if parsed, err := url.Parse(config.URL); err == nil && parsed.Host != "" {
		host = notInFileName.ReplaceAllString(parsed.Host, "_")
		host = host[:min(len(host), maxNameBytes)]
	}
	of := digest([]byte(from.Issuer + "\n" + from.URL + "\n" + from.CertificateAuthority))
	return &savedKeys{path: filepath.Join(dir, "keys-"+host+"-"+of[:16]+".json"), from: from}
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// save replaces the file in one step.
func (s *savedKeys) save(keys *fetched) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("save keys: %w", err)
		}
	}()
	// Whoever starts next would not use what is saved here.
	if err := s.checkDirectory(); err != nil {
		return err
	}
	data, err := json.Marshal(savedDocument{Format: savedFormat, origin: s.from, Fetched: keys.at.UTC(), JWKS: keys.document})
	if err != nil {
		return withoutInput(err)
	}
	// Beside the file: a temporary folder elsewhere may be another file system.
	file, err := renameio.TempFile(s.directory(), s.path) // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = file.Cleanup() }()
	if _, err := file.Write(data); err != nil {
		return err
	}
	if err := file.CloseAtomicallyReplace(); err != nil {
		return err
	}
	return s.syncDirectory()
}

// syncDirectory makes the file's place outlive a power failure.
func (s *savedKeys) syncDirectory() error {
	directory, err := os.Open(s.directory())
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}

func (s *savedKeys) directory() string { return filepath.Dir(s.path) }

// restore reads the file. Keys that are too old are returned: get refuses them. An
// error that is fs.ErrNotExist means that nothing was saved.
func (s *savedKeys) restore() (*fetched, error) {
	if err := s.checkDirectory(); err != nil {
		return nil, err
	}
	s.sweep()
	data, err := regularfile.ReadChecked(s.path, maxSavedBytes, func(info fs.FileInfo) error { return checkOwner(s.path, info, os.Geteuid()) })
	if err != nil {
		return nil, err
	}
	var document savedDocument
	if err := json.Unmarshal(data, &document, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("%s: not keys that this program has saved: %w", s.path, withoutInput(err))
	}
	if document.Format != savedFormat {
		return nil, fmt.Errorf("%s: expected format %q, got %.100q", s.path, savedFormat, document.Format)
	}
	if document.origin != s.from {
		return nil, fmt.Errorf("%s: its keys are those of %.200q from %.200q, or of another certificate authority than is configured", s.path, document.Issuer, document.URL)
	}
	set, err := ParseKeySet(document.JWKS)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	return &fetched{answer: answer{set: set, document: document.JWKS}, at: document.Fetched, restored: true}, nil
}

// sweep removes what a process that was killed while it saved has left behind.
func (s *savedKeys) sweep() {
	entries, _ := os.ReadDir(s.directory())
	for _, entry := range entries {
		// Another process may be saving right now.
		info, err := entry.Info()
		if err == nil && strings.HasPrefix(entry.Name(), "."+filepath.Base(s.path)) && time.Since(info.ModTime()) > time.Hour {
			_ = os.Remove(filepath.Join(s.directory(), entry.Name()))
		}
	}
}

// checkDirectory refuses a directory in which others can replace files.
func (s *savedKeys) checkDirectory() error {
	info, err := os.Stat(s.directory())
	if err != nil {
		return err
	}
	return checkOwner(s.directory(), info, os.Geteuid())
}

// checkOwner refuses what somebody else may have written: who can replace keys can be
// anyone. euid is who this process is.
func checkOwner(path string, info fs.FileInfo, euid int) error {
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: its owner cannot be told", path)
	}
	if uid := int(owner.Uid); uid != 0 && uid != euid {
		return fmt.Errorf("%s: it belongs to uid %d, neither root nor this process", path, uid)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s: others can write it (mode %04o): chmod go-w", path, info.Mode().Perm())
	}
	return nil
}
