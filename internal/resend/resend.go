// Package resend has net/http send a request once more where a kept connection turns
// out to be closed: servers close those that nobody uses, and may do so just when a
// request is sent.
package resend

import (
	"errors"
	"io"
	"net/http"
)

// Once marks a request that changes nothing, so that net/http may send it a second
// time, and no more: a server that hangs up on what is asked would otherwise be asked
// on every connection that is kept.
func Once(request *http.Request) {
	// By net/http's own rule a key that is an empty list is not sent, and a request with
	// one may be repeated.
	request.Header["Idempotency-Key"] = nil
	getBody, sent := request.GetBody, false
	request.GetBody = func() (io.ReadCloser, error) {
		if sent {
			return nil, errors.New("sent twice, on connections that were closed")
		}
		sent = true
		return getBody()
	}
}
