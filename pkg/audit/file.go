package audit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"gopkg.in/natefinch/lumberjack.v2"
)

// neverMB is a size in megabytes that no file has.
const neverMB = 1 << 30

// file is a sink that sets the file aside when it is large, and notices when somebody
// else has.
type file struct {
	out *lumberjack.Logger
	// maxSize is the size in bytes at which it is set aside.
	maxSize int64
	// opened is what out has open, as it was after the last write; nil for nothing.
	opened os.FileInfo
}

func newFile(config Config) *file {
	size := config.MaxSizeMB
	if size == 0 {
		size = neverMB
	}
	return &file{maxSize: int64(size) << 20, out: &lumberjack.Logger{
		Filename: config.Path, MaxSize: size, MaxBackups: config.MaxBackups, MaxAge: config.MaxAgeDays,
	}}
}

// attempts is how often the same lines are tried: the file can be moved away in the
// moment in which it is to be opened or set aside.
const attempts = 3

// Write adds lines to the file. While one process takes over from another, both do: each
// adds to the end of the file, and one at a time opens it or sets it aside.
func (f *file) Write(lines []byte) (n int, err error) {
	for range attempts {
		if n, err = f.add(lines); err == nil || n > 0 {
			break
		}
	}
	return n, err
}

func (f *file) add(lines []byte) (int, error) {
	if !f.goesOn(len(lines)) {
		f.close()
		unlock, err := f.create()
		if err != nil {
			return 0, err
		}
		defer unlock()
	}
	before := f.opened
	if before == nil {
		before, _ = os.Stat(f.out.Filename)
	}
	n, err := f.out.Write(lines)
	if n < len(lines) {
		n = f.cut(before, lines[:n])
	}
	f.opened, _ = os.Stat(f.out.Filename)
	if err != nil || !os.SameFile(before, f.opened) {
		// Somebody has moved it away meanwhile; or lumberjack has begun another, to whose end
		// it does not write.
		f.close()
	}
	return n, err
}

// cut takes back the part of a line at the end of what was written, such as to a disk
// that is full: the next line would go on after it, and neither could be read. It
// returns how much is left of what was written.
func (f *file) cut(before os.FileInfo, written []byte) int {
	whole := bytes.LastIndexByte(written, '\n') + 1
	now, err := os.Stat(f.out.Filename)
	if err != nil {
		return whole
	}
	begin := int64(0) // of a file that was just begun
	if before != nil && os.SameFile(before, now) {
		begin = before.Size()
	}
	if now.Size() == begin+int64(len(written)) {
		_ = os.Truncate(f.out.Filename, begin+int64(whole))
	}
	return whole
}

// goesOn reports whether so many bytes can be added to what is open: nobody has moved
// the file away, or cut it off, and it is not to be set aside before.
func (f *file) goesOn(more int) bool {
	if f.opened == nil {
		return false
	}
	now, err := os.Stat(f.out.Filename)
	return err == nil && os.SameFile(f.opened, now) && now.Size() >= f.opened.Size() && now.Size()+int64(more) < f.maxSize
}

// check makes the file if it is missing.
func (f *file) check() error {
	unlock, err := f.create()
	if err == nil {
		unlock()
	}
	return err
}

// create makes the file if it is missing, and keeps other processes from doing so
// before unlock. lumberjack would empty one that another has made meanwhile.
func (f *file) create() (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(f.out.Filename), 0o755); err != nil {
		return nil, err
	}
	unlock, err = lock(filepath.Join(filepath.Dir(f.out.Filename), "."+filepath.Base(f.out.Filename)+".lock"))
	if err != nil {
		return nil, err
	}
	// Without waiting: of a pipe, for somebody who reads it.
	created, err := os.OpenFile(f.out.Filename, os.O_CREATE|os.O_APPEND|os.O_WRONLY|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		unlock()
		return nil, err
	}
	defer func() { _ = created.Close() }()
	if info, err := created.Stat(); err != nil || !info.Mode().IsRegular() {
		unlock()
		return nil, fmt.Errorf("%s is no regular file", f.out.Filename)
	}
	return unlock, nil
}

const (
	// lockWait is how long a lock is waited for: whoever has it may hang.
	lockWait = time.Second
	// lockPause is the time between two attempts to get it.
	lockPause = 10 * time.Millisecond
)

// lock keeps other processes out for as long as it is needed to open the file or set it
// aside. It is a file that only the webhook's user can open: nobody else can hold it.
func lock(path string) (unlock func(), err error) {
	locked, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for begun := time.Now(); syscall.Flock(int(locked.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil; time.Sleep(lockPause) {
		if time.Since(begun) > lockWait {
			break // Or the file system knows no locks. Then it goes on without.
		}
	}
	return func() { _ = locked.Close() }, nil
}

func (f *file) close() {
	_ = f.out.Close()
	f.opened = nil
}
