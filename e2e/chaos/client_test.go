package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"testing"

	"k8s.io/apiserver/pkg/util/webhook"
	tokenwebhook "k8s.io/apiserver/plugin/pkg/authenticator/token/webhook"

	"tokenreview.dev/webhook/e2e/cluster"
	"tokenreview.dev/webhook/pkg/reason"
)

// client asks the webhook as kube-apiserver does: with its authenticator, its retries, the
// kubeconfig that `webhook certs init` has made, and one connection. It has no cache, so that
// every question gets to the webhook.
type client struct {
	authenticator *tokenwebhook.WebhookTokenAuthenticator
}

func newClient(t *testing.T, w *cluster.Webhook) *client {
	t.Helper()
	// A dialer of its own gives it a connection of its own.
	config, err := webhook.LoadKubeconfig(w.Kubeconfig, (&net.Dialer{}).DialContext)
	if err != nil {
		t.Fatal(err)
	}
	authenticator, err := tokenwebhook.New(config, "v1", nil, *tokenwebhook.DefaultRetryBackoff())
	if err != nil {
		t.Fatal(err)
	}
	return &client{authenticator: authenticator}
}

// answer is what the API server has learned of a token. Exactly one of the fields is set, or
// none: then the token is not the webhook's.
type answer struct {
	user string
	code reason.Code
	// lost is why there is no answer.
	lost error
}

func (a answer) String() string {
	switch {
	case a.lost != nil:
		return fmt.Sprintf("lost: %v", a.lost)
	case a.user != "":
		return fmt.Sprintf("accepted as %q", a.user)
	case a.code != "":
		return string(a.code)
	default:
		return "not ours"
	}
}

// refusal is the form that errors of the webhook itself have: "NAME: text (Code)".
var refusal = regexp.MustCompile(`(?s)^[a-z-]+: .* \((\w+)\)$`)

func (c *client) ask(ctx context.Context, token string) answer {
	response, ok, err := c.authenticator.AuthenticateToken(ctx, token)
	switch {
	case err != nil:
		if match := refusal.FindStringSubmatch(err.Error()); match != nil && slices.Contains(reason.Codes(), reason.Code(match[1])) {
			return answer{code: reason.Code(match[1])}
		}
		return answer{lost: err}
	case !ok:
		return answer{}
	case response.User.GetName() == "":
		return answer{lost: errors.New("accepted as nobody")}
	default:
		return answer{user: response.User.GetName()}
	}
}
