package logging

import (
	"context"
	"log/slog"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// Limited returns a logger for what outsiders can cause: it writes to log at most
// perSecond lines a second, after a burst of ten times as many, and says in the next
// line how many were left out.
func Limited(log *slog.Logger, perSecond int) *slog.Logger {
	return slog.New(limited{
		Handler:    log.Handler(),
		limiter:    rate.NewLimiter(rate.Limit(perSecond), 10*perSecond),
		suppressed: new(atomic.Int64),
	})
}

type limited struct {
	slog.Handler
	limiter    *rate.Limiter
	suppressed *atomic.Int64
}

func (l limited) Handle(ctx context.Context, record slog.Record) error {
	if !l.limiter.AllowN(record.Time, 1) {
		l.suppressed.Add(1)
		return nil
	}
	if n := l.suppressed.Swap(0); n > 0 {
		record.AddAttrs(slog.Int64("suppressed", n))
	}
	return l.Handler.Handle(ctx, record)
}

func (l limited) WithAttrs(attributes []slog.Attr) slog.Handler {
	l.Handler = l.Handler.WithAttrs(attributes)
	return l
}

func (l limited) WithGroup(name string) slog.Handler {
	l.Handler = l.Handler.WithGroup(name)
	return l
}
