package issuers

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// savePatience is how long an attempt to save may last before it counts as failed.
const savePatience = 10 * time.Second

// saver saves one issuer's keys beside whoever fetches them, who must not wait for a
// file system. It is safe for concurrent use.
type saver struct {
	file    *savedKeys
	observe func(error)

	latest atomic.Pointer[fetched] // what is to be saved
	wake   chan struct{}
	stop   context.CancelFunc
	done   chan struct{}
	// failure is that of the last attempt, and begun when the one under way began; nil if
	// there is none.
	failure atomic.Pointer[error]
	begun   atomic.Pointer[time.Time]
}

// newSaver returns a saver that saves nothing until it is started. observe is told of
// every attempt.
func newSaver(file *savedKeys, observe func(error)) *saver {
	return &saver{file: file, observe: observe, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// start begins saving, and goes on until close.
func (s *saver) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	go s.run(ctx)
}

// close has what is to be saved saved, and waits for that, though not for long.
func (s *saver) close() {
	s.stop()
	wait := time.NewTimer(closeWait)
	defer wait.Stop()
	select {
	case <-s.done:
	case <-wait.C:
	}
}

// save has keys saved, unless newer ones come before it is their turn. It does not
// wait.
func (s *saver) save(keys *fetched) {
	s.latest.Store(keys)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *saver) run(ctx context.Context) {
	defer close(s.done)
	for stopped := false; !stopped; {
		select {
		case <-s.wake:
		case <-ctx.Done():
			stopped = true
		}
		if keys := s.latest.Swap(nil); keys != nil {
			s.attempt(keys)
		}
	}
}

func (s *saver) attempt(keys *fetched) {
	now := time.Now()
	s.begun.Store(&now)
	err := s.file.save(keys)
	s.begun.Store(nil)
	if err != nil {
		s.failure.Store(&err)
	} else {
		s.failure.Store(nil)
	}
	s.observe(err)
}

// problem is why keys are not saved, nil if they are.
func (s *saver) problem() error {
	if begun := s.begun.Load(); begun != nil && time.Since(*begun) > savePatience {
		return fmt.Errorf("save keys: %s: no end of it since %s", s.file.path, begun.UTC().Format(time.RFC3339))
	}
	if err := s.failure.Load(); err != nil {
		return *err
	}
	return nil
}
