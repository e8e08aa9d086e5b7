package liveness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"syscall"

	"github.com/go-json-experiment/json"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tokenreview.dev/webhook/internal/redact"
)

// recently is for how long after a connection was closed the API server is taken to be
// there: whoever asked on it may have reached a limit that is still to be felt.
const recently = questionTimeout

// failure is a question that got no answer.
type failure struct {
	err error
	// everyToken is whether a question about another token would fail the same way.
	everyToken bool
	// away is whether nobody answered at the API server's address.
	away bool
	// retryAfter is the answer's Retry-After.
	retryAfter string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// Away reports whether the cluster is away for every token, as the package's comment
// has it.
func (f *failure) Away() bool { return f.away }

// away reports whether err, by which no connection was made, shows that nobody is there.
// Everything else is in doubt, and so are all who are reached through a proxy: an x509
// error is of somebody who is there, a DNS error of another server, EMFILE of ours. Nor
// is a cluster away to which another connection stands, or has stood a moment ago.
func (c *connection) away(request *http.Request, err error) bool {
	if proxy, proxyErr := c.proxy(request); proxy != nil || proxyErr != nil {
		return false
	}
	if c.dialer.standing.within(recently) {
		return false
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return false
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return true // connectTimeout
	}
	// A balancer without an API server behind it hangs up before TLS stands.
	return slices.ContainsFunc([]error{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EHOSTUNREACH, syscall.ENETUNREACH, io.EOF},
		func(gone error) bool { return errors.Is(err, gone) })
}

// interrupted is the failure of a question that was not answered to the end. A text of
// net/http's may quote the answer. It is laid to the token: its cluster may have a
// webhook of its own, which hangs or hangs up for some tokens only.
func (c *connection) interrupted(ctx context.Context, err error, token string) error {
	if ctx.Err() != nil {
		return &failure{err: fmt.Errorf("no answer in %s: %w", questionTimeout, ctx.Err())}
	}
	return &failure{err: errors.New(c.redact(redact.Cause(err).Error(), token))}
}

// refused is the failure of a question that was answered with another status than that
// of a TokenReview.
func (c *connection) refused(response *http.Response, data []byte, token string) error {
	text := fmt.Sprintf("the answer is %d %s", response.StatusCode, http.StatusText(response.StatusCode))
	var status metav1.Status
	if json.Unmarshal(data, &status) == nil && status.Kind == "Status" && status.Message != "" {
		text += " (" + c.redact(status.Message, token) + ")"
	}
	// Another failure of the server's may be one token's, unless it says when to come again.
	failed := &failure{retryAfter: response.Header.Get("Retry-After")}
	failed.everyToken = response.StatusCode >= http.StatusInternalServerError && failed.retryAfter != ""
	switch response.StatusCode {
	case http.StatusUnauthorized:
		failed.everyToken = true
		text += ": renew the kubeconfig's credential, whose user needs a ClusterRoleBinding to system:auth-delegator in that cluster"
	case http.StatusForbidden:
		failed.everyToken = true
		text += ": the kubeconfig's user needs a ClusterRoleBinding to system:auth-delegator in that cluster"
	case http.StatusNotFound:
		failed.everyToken = true
		text += ": the kubeconfig's server is no Kubernetes API server"
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		failed.everyToken = true
	}
	failed.err = errors.New(text)
	return failed
}
