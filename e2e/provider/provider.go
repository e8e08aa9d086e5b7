package provider

import (
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	// basePath is the issuer's, as Authentik has one for each application.
	basePath  = "/application/o/kubernetes"
	loginPath = basePath + "/login"
)

// Provider is a running OpenID provider. It is safe for concurrent use.
type Provider struct {
	// URL is the issuer identifier. As with Authentik, the slash at its end is part of
	// it.
	URL string

	server  *httptest.Server
	storage *storage
}

// Start runs a provider for some applications, with one signing key and nobody who
// could sign in.
func Start(clientIDs ...string) (*Provider, error) {
	first, err := newKey()
	if err != nil {
		return nil, err
	}
	p := &Provider{
		server: httptest.NewUnstartedServer(nil),
		storage: &storage{
			clientIDs: clientIDs,
			keys:      []key{first},
			people:    map[string]Person{},
			requests:  map[string]*request{},
		},
	}
	// The provider wants to know its own address before it serves.
	p.URL = "https://" + p.server.Listener.Addr().String() + basePath + "/"
	config := &op.Config{CodeMethodS256: true}
	rand.Read(config.CryptoKey[:])
	zitadel, err := op.NewProvider(config, p.storage, op.StaticIssuer(p.URL))
	if err != nil {
		p.server.Listener.Close()
		return nil, fmt.Errorf("make the OpenID provider %s: %w", p.URL, err)
	}
	mux := http.NewServeMux()
	mux.Handle(basePath+"/", http.StripPrefix(basePath, zitadel))
	mux.HandleFunc("GET "+loginPath, showLogin)
	mux.HandleFunc("POST "+loginPath, func(w http.ResponseWriter, r *http.Request) {
		id := r.URL.Query().Get("id")
		if !p.storage.signIn(id, r.PostFormValue("email")) {
			http.Error(w, "nobody of that name, or nothing to sign in for", http.StatusForbidden)
			return
		}
		back := op.AuthCallbackURL(zitadel)(op.ContextWithIssuer(r.Context(), p.URL), url.QueryEscape(id))
		http.Redirect(w, r, back, http.StatusFound)
	})
	p.server.Config.Handler = mux
	p.server.StartTLS()
	return p, nil
}

// showLogin is a page with a form that is posted to where it came from.
func showLogin(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(w, `<!doctype html><title>Sign in</title><form method=post><input name=email type=email><button>Sign in</button></form>`)
}

// Close stops the provider.
func (p *Provider) Close() { p.server.Close() }

// CertificateAuthority is the PEM of the certificate that vouches for the
// provider's own.
func (p *Provider) CertificateAuthority() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw}))
}

// SetPerson lets a person sign in, or changes what the provider says of who has
// that e-mail address.
func (p *Provider) SetPerson(person Person) { p.storage.setPerson(person) }

// RotateKey makes another key, which signs from now on. The one that has signed
// until now stays published for the tokens that are under way; any older one is
// withdrawn.
func (p *Provider) RotateKey() error { return p.storage.rotateKey() }
