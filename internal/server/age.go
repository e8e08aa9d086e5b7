package server

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// maxAge ends connections some time after they were opened. kube-apiserver sends
// all its reviews over one HTTP/2 connection and would stay with one replica for
// ever. It is zero for never.
type maxAge time.Duration

type endKey struct{}

// connContext is for http.Server.ConnContext. It notes when the connection is to
// end: within a tenth of the age, so that they do not all end at once.
func (a maxAge) connContext(ctx context.Context, _ net.Conn) context.Context {
	if a <= 0 {
		return ctx
	}
	spread := int64(a) / 5
	return context.WithValue(ctx, endKey{}, time.Now().Add(time.Duration(int64(a)-spread/2+rand.Int64N(spread+1))))
}

// wrap makes the first request after that time the last of its connection. Over
// HTTP/2 net/http turns the header into a GOAWAY frame; requests under way end
// well.
func (a maxAge) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if end, ok := r.Context().Value(endKey{}).(time.Time); ok && time.Now().After(end) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
