package regularfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tokenreview.dev/webhook/internal/regularfile"
)

func TestARegularFileIsReadToItsEnd(t *testing.T) {
	for name, content := range map[string]string{"an empty one": "", "a short one": "1234567", "one that just fits": "12345678"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			mustSucceed(t, os.WriteFile(path, []byte(content), 0o600))
			// As Kubernetes mounts Secrets.
			link := filepath.Join(t.TempDir(), "link")
			mustSucceed(t, os.Symlink(path, link))
			if data, err := regularfile.Read(link, 8); string(data) != content || err != nil {
				t.Errorf("expected %q, got %q, error %v", content, data, err)
			}
		})
	}
}

// The check is of what is read, even if the path leads elsewhere by then.
func TestTheVeryFileThatIsReadIsChecked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	mustSucceed(t, os.WriteFile(path, []byte("checked"), 0o600))
	swapped := func(info fs.FileInfo) error {
		mustSucceed(t, os.Remove(path))
		mustSucceed(t, os.WriteFile(path, []byte("another"), 0o666))
		if info.Size() != int64(len("checked")) {
			return errors.New("another file")
		}
		return nil
	}
	if data, err := regularfile.ReadChecked(path, 8, swapped); string(data) != "checked" || err != nil {
		t.Errorf("expected the file that was checked, got %q, error %v", data, err)
	}
	refused := errors.New("not this one")
	if data, err := regularfile.ReadChecked(path, 8, func(fs.FileInfo) error { return refused }); data != nil || !errors.Is(err, refused) {
		t.Errorf("expected the check's error, got %q, error %v", data, err)
	}
}

func TestWhatCannotBeReadIsAnErrorThatNamesIt(t *testing.T) {
	for name, test := range map[string]struct {
		create func(path string) error
		text   string
	}{
		"nothing":           {func(string) error { return nil }, "no such file or directory"},
		"a directory":       {func(path string) error { return os.Mkdir(path, 0o700) }, "is not a regular file"},
		"a file too large":  {func(path string) error { return os.WriteFile(path, []byte("123456789"), 0o600) }, "is larger than 8 bytes"},
		"a device":          {func(path string) error { return os.Symlink("/dev/zero", path) }, "is not a regular file"},
		"a pipe":            {func(path string) error { return unix.Mkfifo(path, 0o600) }, "is not a regular file"},
		"a link to nowhere": {func(path string) error { return os.Symlink("/nowhere/at/all", path) }, "no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			mustSucceed(t, test.create(path))
			read := make(chan error, 1)
			go func() {
				data, err := regularfile.Read(path, 8)
				if data != nil {
					t.Errorf("expected an error alone, got %q", data)
				}
				read <- err
			}()
			select {
			case err := <-read:
				if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), test.text) {
					t.Errorf("expected an error with %s and %q, got %v", path, test.text, err)
				}
			case <-time.After(time.Minute):
				t.Fatal("it waits for ever")
			}
		})
	}
}

func mustSucceed(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
