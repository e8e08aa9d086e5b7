// Package asking measures how long a question to somebody else takes.
package asking

import (
	"context"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// Begin begins a question that may need several requests, or none. took is since Begin;
// asked is false unless a request with the returned context, or one made of it, has
// wanted a connection: nobody was asked then.
func Begin(ctx context.Context) (_ context.Context, end func() (took time.Duration, asked bool)) {
	var asked atomic.Bool
	begun := time.Now()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: func(string) { asked.Store(true) }})
	return ctx, func() (time.Duration, bool) { return time.Since(begun), asked.Load() }
}
