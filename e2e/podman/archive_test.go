//go:build linux

package podman

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

// image is one platform's, out of an OCI archive.
type image struct {
	platform string

	User       string
	Entrypoint []string
	Cmd        []string
	Labels     map[string]string

	files map[string]file
}

type file struct {
	mode     int64
	uid, gid int
	modified int64
	content  []byte
}

// The parts of the OCI image format that are looked at here.
type (
	descriptor struct {
		Digest      string
		Platform    struct{ OS, Architecture string }
		Annotations map[string]string
	}
	index    struct{ Manifests []descriptor }
	manifest struct {
		Config descriptor
		Layers []descriptor
	}
)

// readImages returns the image of each platform, in the order of the index. The archive has
// to hold one index, of the name given.
func readImages(t *testing.T, path, name string) []image {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	blobs := untar(t, bytes.NewReader(content))

	var top, list index
	decode(t, blobs["index.json"].content, &top)
	if len(top.Manifests) != 1 || top.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != name {
		t.Fatalf("the archive holds %+v, want %s alone", top.Manifests, name)
	}
	decode(t, blob(t, blobs, top.Manifests[0]), &list)
	var images []image
	for _, entry := range list.Manifests {
		var parts manifest
		decode(t, blob(t, blobs, entry), &parts)
		config := struct{ Config image }{}
		decode(t, blob(t, blobs, parts.Config), &config)
		found := config.Config
		found.files = map[string]file{}
		for _, layer := range parts.Layers {
			unzipped, err := gzip.NewReader(bytes.NewReader(blob(t, blobs, layer)))
			if err != nil {
				t.Fatal(err)
			}
			for name, file := range untar(t, unzipped) {
				found.files[name] = file
			}
		}
		found.platform = entry.Platform.OS + "/" + entry.Platform.Architecture
		images = append(images, found)
	}
	return images
}

func untar(t *testing.T, from io.Reader) map[string]file {
	t.Helper()
	files := map[string]file{}
	for archive := tar.NewReader(from); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = file{
			mode: header.Mode & 0o7777, uid: header.Uid, gid: header.Gid, modified: header.ModTime.Unix(), content: content,
		}
	}
}

func blob(t *testing.T, blobs map[string]file, of descriptor) []byte {
	t.Helper()
	content := blobs["blobs/"+strings.Replace(of.Digest, ":", "/", 1)].content
	if of.Digest != fmt.Sprintf("sha256:%x", sha256.Sum256(content)) {
		t.Fatalf("%s is missing or damaged", of.Digest)
	}
	return content
}

func decode(t *testing.T, content []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(content, into); err != nil {
		t.Fatal(err)
	}
}
