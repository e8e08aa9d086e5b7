package entra

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
	msalerrors "github.com/AzureAD/microsoft-authentication-library-for-go/apps/errors"
	"github.com/go-json-experiment/json"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"

	"tokenreview.dev/webhook/internal/redact"
	"tokenreview.dev/webhook/internal/regularfile"
	"tokenreview.dev/webhook/internal/span"
)

const (
	// maxCredentialBytes bounds a secret or assertion file.
	maxCredentialBytes = 64 << 10
	// renewBefore is how long before it expires an access token is not used any more, as
	// in MSAL.
	renewBefore = 5 * time.Minute
)

// tokens gets access tokens for Graph with the application's own credential
// (https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow).
type tokens struct {
	config GraphConfig
	client *http.Client
	pause  *pause

	// slot is held by whoever uses what follows. MSAL would send a request for each
	// who waits; this way one asks, and the others find its token.
	slot    chan struct{}
	msal    *confidential.Client
	secret  string               // what msal was made with
	issued  string               // the last access token
	by      *confidential.Client // which got it
	since   time.Time            // when it was issued
	expires time.Time            // by the system's clock, which is MSAL's
	sent    string               // the credential last read, so that no error repeats it
}

// get returns an access token, the last one while it is good. MSAL keeps it as well, but
// where Entra suggests to refresh a token long before it expires, MSAL would try so for
// each who asks, and have them wait for a login host that is away.
func (t *tokens) get(ctx context.Context) (string, error) {
	if err := t.hold(ctx); err != nil {
		return "", err
	}
	defer t.release()
	// Whoever held the slot before may have failed.
	if err := t.pause.check(); err != nil {
		return "", err
	}
	client, err := t.application()
	if err != nil {
		return "", t.failed(err)
	}
	if client == t.by && time.Until(t.expires) > renewBefore {
		return t.issued, nil
	}
	scope := "https://" + t.config.Cloud.GraphHost() + "/.default"
	asking, step := span.Ask(ctx, "get access token")
	step.Set(semconv.ServerAddress(t.config.Cloud.LoginHost()))
	result, err := client.AcquireTokenByCredential(asking, []string{scope})
	step.End(err)
	if err != nil {
		return "", t.failed(err)
	}
	if result.AccessToken != t.issued {
		t.issued, t.since = result.AccessToken, t.pause.now()
	}
	t.by, t.expires = client, result.ExpiresOn
	return result.AccessToken, nil
}

// forget makes the next get ask for a new token, if rejected is still the last one
// and at least as old as age.
func (t *tokens) forget(ctx context.Context, rejected string, age time.Duration) error {
	if err := t.hold(ctx); err != nil {
		return err
	}
	defer t.release()
	if t.issued == rejected && t.pause.now().Sub(t.since) >= age {
		t.msal = nil
	}
	return nil
}

func (t *tokens) hold(ctx context.Context) error {
	select {
	case t.slot <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for an access token: %w", ctx.Err())
	}
}

func (t *tokens) release() { <-t.slot }

// application returns MSAL's client, a new one where the secret has changed.
func (t *tokens) application() (*confidential.Client, error) {
	var (
		credential confidential.Credential
		secret     string
		err        error
	)
	if t.config.ClientSecretFile != "" {
		if secret, err = t.readCredential(); err != nil {
			return nil, err
		}
	}
	if t.msal != nil && secret == t.secret {
		return t.msal, nil
	}
	if secret != "" {
		credential, err = confidential.NewCredFromSecret(secret)
		if err != nil {
			return nil, err
		}
	} else {
		// MSAL calls it for each new access token.
		credential = confidential.NewCredFromAssertionCallback(func(context.Context, confidential.AssertionRequestOptions) (string, error) {
			return t.readCredential()
		})
	}
	client, err := confidential.New("https://"+t.config.Cloud.LoginHost()+"/"+t.config.Tenant, t.config.ClientID, credential,
		confidential.WithHTTPClient(t.client),
		// It would ask the login host whether the login host is one. The authority is
		// ours and known, and without it the one document fetched is the tenant's own.
		confidential.WithInstanceDiscovery(false),
		// MSAL_FORCE_REGION would lead to hosts that are not the cloud's own.
		confidential.WithAzureRegion("DisableMsalForceRegion"))
	if err != nil {
		return nil, err
	}
	t.msal, t.secret = &client, secret
	return t.msal, nil
}

// readCredential reads what is about to be sent. It is called by whoever holds the
// slot.
func (t *tokens) readCredential() (string, error) {
	credential, err := t.config.credential()
	t.sent = credential
	return credential, err
}

// credential reads the application's credential.
func (c *GraphConfig) credential() (string, error) {
	path := c.ClientSecretFile
	if path == "" {
		path = c.ClientAssertionFile
	}
	data, err := regularfile.Read(path, maxCredentialBytes)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errCredential, err)
	}
	credential := strings.TrimSpace(string(data))
	if credential == "" {
		return "", fmt.Errorf("%w: %s is empty", errCredential, path)
	}
	return credential, nil
}

var errCredential = errors.New("read the application's credential")

// failed begins a pause after MSAL returned err, and says why in our own words:
// MSAL's errors hold whole requests and answers.
func (t *tokens) failed(err error) error {
	host := t.config.Cloud.LoginHost()
	var (
		call    msalerrors.CallErr
		badJSON msalerrors.InvalidJsonErr
	)
	switch {
	case errors.As(err, &call) && call.Resp != nil:
		text := fmt.Sprintf("access token: %s answered %d", host, call.Resp.StatusCode)
		if reason := t.reason(call.Resp.Body); reason != "" {
			text += ": " + reason
		}
		return t.pause.begin(t.pause.retryAfter(call.Resp.Header), text)
	case errors.As(err, &badJSON):
		return t.pause.begin(defaultPause, fmt.Sprintf("access token: %s did not answer with the JSON that was expected", host))
	case errors.Is(err, errCredential): // nothing was asked
		return fmt.Errorf("access token: %w", err)
	default:
		return t.pause.begin(defaultPause, fmt.Sprintf("access token: %s: %s", host, redact.Line(redact.Cause(err).Error(), t.sent)))
	}
}

// aadsts is an error of Entra's
// (https://learn.microsoft.com/entra/identity-platform/reference-error-codes)
// without the trace and correlation ids that follow it.
var aadsts = regexp.MustCompile(`(?s)^(AADSTS\d{3,10}): (.*?)(\s+Trace ID: .*)?$`)

// reason is what the token endpoint says is wrong: AADSTS code and description.
func (t *tokens) reason(body io.Reader) string {
	data, err := io.ReadAll(body) // MSAL has read it, within bounds
	if err != nil {
		return ""
	}
	var document struct {
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return ""
	}
	match := aadsts.FindStringSubmatch(document.Description)
	if match == nil {
		return ""
	}
	return redact.Line(match[1]+": "+match[2], t.sent)
}
