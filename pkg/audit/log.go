package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"tokenreview.dev/webhook/internal/keyedhash"
	"tokenreview.dev/webhook/internal/logging"
	"tokenreview.dev/webhook/pkg/api/v1alpha1"
)

// maxPending is how many bytes may wait to be written: thousands of lines. As many
// again may be on their way to the sink.
const maxPending = 4 << 20

// maxLine is how many bytes a line may have. The smallest file takes one of a megabyte.
const maxLine = 512 << 10

// writePause is the time between two writes: what comes meanwhile is written together,
// and lost if the process crashes.
const writePause = 5 * time.Millisecond

// Config says what a Log writes, and where.
type Config struct {
	// Path is the file; "-" and empty mean standard output.
	Path string
	// MaxSizeMB, MaxBackups and MaxAgeDays are as in v1alpha1.Audit.
	MaxSizeMB, MaxBackups, MaxAgeDays int
	// MaxRefusalsPerSecond is how many refusals are written of each kind; zero means no
	// bound.
	MaxRefusalsPerSecond int
	// FingerprintKeyFile is where the key of the fingerprints is; empty means a key of the
	// Log's own.
	FingerprintKeyFile string
}

// Result is what became of a record.
type Result string

const (
	// Written is a record that is a line now.
	Written Result = "written"
	// Dropped is a record that is lost: too many waited, or it could not be written.
	Dropped Result = "dropped"
	// Omitted is a refusal beyond MaxRefusalsPerSecond.
	Omitted Result = "omitted"
)

// Options is what a Log needs from its surroundings.
type Options struct {
	// Stdout is where lines go without a Path.
	Stdout io.Writer
	// Observe is told what became of how many records; nil means that nobody is.
	Observe func(result Result, records int)
	// Log is told why lines cannot be written.
	Log *slog.Logger
	// Now is the clock of MaxRefusalsPerSecond; nil means time.Now.
	Now func() time.Time
}

// Log writes records. It is safe for concurrent use.
type Log struct {
	options   Options
	inUse     atomic.Pointer[inUse]
	problem   atomic.Pointer[error] // why the last lines could not be written
	generated *keyedhash.Hash
	lines     sync.Pool // of *[]byte, to make lines in

	mu      sync.Mutex
	pending []byte
	records int // in pending
	closed  bool

	wake   chan struct{} // has one place
	ending chan struct{} // closed when closed is set
	reopen atomic.Bool
	done   chan struct{}
}

// inUse is a configuration, and what was made of it.
type inUse struct {
	config       Config
	sink         sink
	refusals     *refusals
	fingerprints *keyedhash.Hash
}

// New returns a Log that writes to standard output until Use says otherwise. Close
// ends it.
func New(options Options) *Log {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Observe == nil {
		options.Observe = func(Result, int) {}
	}
	options.Log = logging.Limited(options.Log, 1)
	l := &Log{
		options: options, generated: keyedhash.New(nil), lines: sync.Pool{New: func() any { return new([]byte) }},
		wake: make(chan struct{}, 1), ending: make(chan struct{}), done: make(chan struct{}),
	}
	l.inUse.Store(&inUse{sink: &stream{to: options.Stdout}, refusals: newRefusals(0, options.Now), fingerprints: l.generated})
	go l.run()
	return l
}

// Use has the log written as config says from now on. An error says which part of it
// cannot be used; the rest is.
func (l *Log) Use(config Config) error {
	before := l.inUse.Load()
	next := &inUse{config: config, sink: before.sink, refusals: before.refusals, fingerprints: l.generated}
	if !before.config.sameSink(config) {
		next.sink = &stream{to: l.options.Stdout}
		if config.toFile() {
			next.sink = newFile(config)
		}
	}
	if before.config.MaxRefusalsPerSecond != config.MaxRefusalsPerSecond {
		next.refusals = newRefusals(config.MaxRefusalsPerSecond, l.options.Now)
	}
	var err error
	if config.FingerprintKeyFile != "" {
		var key []byte
		if key, err = readKey(config.FingerprintKeyFile); err == nil {
			next.fingerprints = keyedhash.New(key)
		} else if before.config.FingerprintKeyFile == config.FingerprintKeyFile {
			next.fingerprints = before.fingerprints
		}
	}
	l.inUse.Store(next)
	l.wakeWriter()
	return err
}

// Reopen has the file opened anew before the next line, for whoever has set it aside.
func (l *Log) Reopen() {
	l.reopen.Store(true)
	l.wakeWriter()
}

// Fingerprint is that of a token. It costs about as much as hashing it.
func (l *Log) Fingerprint(token string) Fingerprint {
	return fingerprint(l.inUse.Load().fingerprints, token)
}

// Problem is why the last lines could not be written, nil if they were. l may be nil.
func (l *Log) Problem() error {
	if l == nil {
		return nil
	}
	if err := l.problem.Load(); err != nil {
		return *err
	}
	return nil
}

// Write has a record written if level wants it. It does not wait.
func (l *Log) Write(record *Record, level v1alpha1.AuditLevel) {
	switch level {
	case v1alpha1.AuditNone:
		return
	case v1alpha1.AuditRefusals:
		if !record.refused() && record.WouldRefuse == "" {
			return
		}
	}
	if record.refused() {
		var ok bool
		if record.Omitted, ok = l.inUse.Load().refusals.admit(record); !ok {
			l.options.Observe(Omitted, 1)
			return
		}
	}
	record.Schema = Schema
	buffer := l.lines.Get().(*[]byte)
	defer l.lines.Put(buffer)
	line, err := record.appendLine((*buffer)[:0])
	*buffer = line
	if err == nil && len(line) > maxLine {
		err = fmt.Errorf("its line has %d bytes, more than %d", len(line), maxLine)
	}
	if err != nil {
		l.options.Observe(Dropped, 1)
		l.options.Log.Error("audit: decision not written", "err", err)
		return
	}
	if err := l.append(line); err != nil {
		l.options.Observe(Dropped, 1)
		l.failed(err, 1)
		return
	}
	l.wakeWriter()
}

var (
	errClosed = errors.New("the log is closed")
	// errFull is while the sink does not take what it is given: a disk or a pipe that hangs.
	errFull = fmt.Errorf("%d bytes of decisions wait to be written, and no more have room: whatever takes them hangs", maxPending)
)

// append adds a line to those that wait, if there is room.
func (l *Log) append(line []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return errClosed
	case len(l.pending)+len(line) > maxPending:
		return errFull
	}
	l.pending = append(l.pending, line...)
	l.records++
	return nil
}

func (l *Log) wakeWriter() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Close writes what waits and ends the log; what comes later is dropped. It waits no
// longer than ctx: a sink may hang.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.ending)
	}
	l.mu.Unlock()
	l.wakeWriter()
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		l.mu.Lock()
		defer l.mu.Unlock()
		return fmt.Errorf("audit: at least %d decisions were not written before the end: %w", l.records, ctx.Err())
	}
}

// run writes until the log is closed.
func (l *Log) run() {
	defer close(l.done)
	var to sink
	var spare []byte
	for range l.wake {
		current := l.inUse.Load().sink
		if to != current {
			if to != nil {
				to.close()
			}
			to = current
			// Whoever has just named a file learns now that it cannot be written.
			if err := to.check(); err != nil {
				l.failed(fmt.Errorf("write audit log: %w", err), 0)
			} else {
				l.problem.Store(nil)
			}
		}
		if l.reopen.Swap(false) {
			to.close()
		}
		l.mu.Lock()
		lines, records, closed := l.pending, l.records, l.closed
		l.pending, l.records = spare[:0], 0
		l.mu.Unlock()
		l.write(to, lines, records)
		spare = lines
		if closed {
			to.close()
			return
		}
		// A sink costs about the same for one line as for many.
		select {
		case <-time.After(writePause):
		case <-l.ending:
		}
	}
}

// write writes whole lines to the sink, and gives up at the first that it does not
// take: the next ones come soon.
func (l *Log) write(to sink, lines []byte, records int) {
	if records == 0 {
		return
	}
	written, err := writeLines(to, lines)
	if written > 0 {
		l.options.Observe(Written, written)
	}
	if err != nil {
		l.options.Observe(Dropped, records-written)
		l.failed(err, records-written)
		return
	}
	l.problem.Store(nil)
}

// failed tells people that records are lost.
func (l *Log) failed(err error, records int) {
	l.options.Log.Error("audit: decisions not written", "records", records, "err", err)
	l.problem.Store(&err)
}
