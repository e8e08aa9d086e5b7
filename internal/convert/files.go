package convert

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"k8s.io/client-go/util/cert"

	"tokenreview.dev/webhook/pkg/config"
)

// Files finds the files that flags name. The zero value takes their names as they
// are; one from ReadManifest takes them for names in the API server's container.
type Files struct {
	// Root is the folder below which the node's files are; empty is "/". It is for
	// names in a container alone. Links that lead out of it are not followed.
	Root string

	ofContainer bool
	workingDir  string
	mounts      []mount
}

// mount is a volume in a container; hostPath is empty if it is not a folder or file
// of the node.
type mount struct{ path, volume, hostPath string }

// read reads a file of at most the size that a configuration may have.
func (f Files) read(name string) (data []byte, err error) {
	var opened *os.File
	if !f.ofContainer {
		opened, err = os.Open(name)
	} else {
		var place string
		if place, err = f.onNode(name); err != nil {
			return nil, err
		}
		opened, err = f.open(place)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: it is on the node where the API server runs; run this there, or put a copy at DIR%s and give --root DIR", err, place)
		}
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = opened.Close() }()
	data, err = io.ReadAll(io.LimitReader(opened, config.MaxFileSize+1))
	if err == nil && len(data) > config.MaxFileSize {
		err = fmt.Errorf("%s is larger than %d bytes: it is no CA", name, config.MaxFileSize)
	}
	return data, err
}

func (f Files) open(place string) (*os.File, error) {
	if f.Root == "" {
		return os.Open(filepath.FromSlash(place))
	}
	return os.OpenInRoot(f.Root, filepath.FromSlash(strings.TrimPrefix(place, "/")))
}

// onNode is the absolute path on the node of a file in the container. A file of a
// volume that is not the node's is looked for below Root by its name in the
// container, since somebody must have put it there.
func (f Files) onNode(name string) (string, error) {
	if !path.IsAbs(name) {
		name = path.Join("/", f.workingDir, name)
	}
	name = path.Clean(name)
	var deepest *mount
	for i, m := range f.mounts {
		if below(name, m.path) && (deepest == nil || len(m.path) > len(deepest.path)) {
			deepest = &f.mounts[i]
		}
	}
	switch {
	case deepest == nil:
		return name, nil
	case deepest.hostPath != "":
		return path.Join(deepest.hostPath, strings.TrimPrefix(name, deepest.path)), nil
	case f.Root == "":
		return "", fmt.Errorf("%s is in the volume %q, which is not a folder of the node: save the file as DIR%s and give --root DIR", name, deepest.volume, name)
	}
	return name, nil
}

func below(name, folder string) bool {
	rest, ok := strings.CutPrefix(name, strings.TrimSuffix(folder, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

// readCertificates reads what kube-apiserver takes from a CA file: the certificates,
// without what may stand around them. It reports whether a private key was in it.
func (f Files) readCertificates(name string) (certificates string, hasKey bool, err error) {
	data, err := f.read(name)
	if err != nil {
		return "", false, err
	}
	parsed, err := cert.ParseCertsPEM(data)
	if err != nil {
		return "", false, fmt.Errorf("%s: %w", name, err)
	}
	var text bytes.Buffer
	for _, one := range parsed {
		if err := pem.Encode(&text, &pem.Block{Type: cert.CertificateBlockType, Bytes: one.Raw}); err != nil {
			return "", false, fmt.Errorf("%s: %w", name, err)
		}
	}
	return text.String(), bytes.Contains(data, []byte("PRIVATE KEY-----")), nil
}
