package acceptance_test

import (
	"context"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"

	"tokenreview.dev/webhook/internal/acceptance"
	"tokenreview.dev/webhook/manifests/examples"
	"tokenreview.dev/webhook/pkg/reason"
)

// load decodes and validates a configuration as kube-apiserver does.
func load(t *testing.T, data []byte) *apiserver.AuthenticationConfiguration {
	t.Helper()
	scheme := runtime.NewScheme()
	install.Install(scheme)
	codecs := serializer.NewCodecFactory(scheme, serializer.EnableStrict)
	object, err := runtime.Decode(codecs.UniversalDecoder(), data)
	if err != nil {
		t.Fatal(err)
	}
	configuration, ok := object.(*apiserver.AuthenticationConfiguration)
	if !ok {
		t.Fatalf("decoded a %T", object)
	}
	compiler := authenticationcel.NewDefaultCompiler()
	if errs := validation.ValidateAuthenticationConfiguration(compiler, configuration, nil); len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	return configuration
}

func TestExamplesAreWhatTheAPIServerAccepts(t *testing.T) {
	files, err := fs.Glob(examples.Files, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]string{}
	for _, c := range acceptance.Cases() {
		used[c.Example] = c.Issuer
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			data, err := examples.Files.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			configuration := load(t, data)
			if len(configuration.JWT) != 1 || configuration.JWT[0].Issuer.URL != used[file] {
				t.Errorf("is not the configuration of a case with the issuer %q", used[file])
			}
			if !strings.HasPrefix(string(data), "# ") {
				t.Error("does not begin by saying what it is")
			}
			if strings.Contains(string(data), "PRIVATE KEY") {
				t.Error("contains a private key")
			}
		})
	}
}

func TestEveryCaseHasTokensOfBothKinds(t *testing.T) {
	names := map[string]bool{}
	for _, c := range acceptance.Cases() {
		var accepted, refused int
		for _, token := range c.Tokens(time.Now()) {
			if name := c.Name + "/" + token.Name; names[name] {
				t.Errorf("%s: there are two of that name", name)
			} else {
				names[name] = true
			}
			if token.Accepted() == (token.Refusal.Code != "") {
				t.Errorf("%s/%s: expects a user and a refusal, or neither", c.Letter, token.Name)
			}
			if token.Accepted() {
				accepted++
			} else {
				refused++
			}
		}
		if refused == 0 || (accepted == 0) != (c.Letter == "G") {
			t.Errorf("%s: %d tokens are accepted, %d refused", c.Letter, accepted, refused)
		}
	}
}

// TestAnswersAreThoseOfTheAPIServer gives every token to the API server's own
// authenticator, so that what the cases expect is upstream's answer and not ours.
func TestAnswersAreThoseOfTheAPIServer(t *testing.T) {
	cases := acceptance.Cases()
	issuers := acceptance.StartIssuers(cases)
	t.Cleanup(issuers.Close)
	data, err := acceptance.Configuration(cases, issuers)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	authenticators := map[string]authenticator.Token{}
	for _, jwt := range load(t, data).JWT {
		authenticators[jwt.Issuer.URL] = upstream(ctx, t, jwt)
	}

	for _, c := range cases {
		for _, token := range c.Tokens(time.Now()) {
			t.Run(c.Letter+"/"+token.Name, func(t *testing.T) {
				response, ok, err := authenticators[c.Issuer].AuthenticateToken(ctx, issuers.Sign(c, token))
				if !token.Accepted() {
					refused(t, token.Refusal, ok, err)
					return
				}
				if err != nil || !ok {
					t.Fatalf("refused: %v", err)
				}
				if diff := cmp.Diff(token.User, response.User.(*user.DefaultInfo)); diff != "" {
					t.Errorf("expected -, upstream +:\n%s", diff)
				}
			})
		}
	}
}

// upstream is the API server's authenticator for one issuer, with its keys.
func upstream(ctx context.Context, t *testing.T, jwt apiserver.JWTAuthenticator) authenticator.Token {
	t.Helper()
	ca, err := dynamiccertificates.NewStaticCAContent("issuer", []byte(jwt.Issuer.CertificateAuthority))
	if err != nil {
		t.Fatal(err)
	}
	jwtAuthenticator, err := oidc.New(ctx, oidc.Options{JWTAuthenticator: jwt, CAContentProvider: ca})
	if err != nil {
		t.Fatal(err)
	}
	// It fetches the keys in the background and offers nothing to wait on.
	err = wait.PollUntilContextTimeout(ctx, 5*time.Millisecond, time.Minute, true,
		func(context.Context) (bool, error) { return jwtAuthenticator.HealthCheck() == nil, nil })
	if err != nil {
		t.Fatalf("issuer %q: %v", jwt.Issuer.URL, jwtAuthenticator.HealthCheck())
	}
	return jwtAuthenticator
}

// refused checks what upstream can tell of a refusal: a token of an issuer that is
// not its own is no error to it, and it has no codes.
func refused(t *testing.T, expected reason.Refusal, ok bool, err error) {
	t.Helper()
	switch {
	case ok:
		t.Error("accepted")
	case expected.Code == reason.IssuerUnknown:
		if err != nil {
			t.Errorf("expected no opinion, got: %v", err)
		}
	case err == nil:
		t.Error("upstream has no opinion of the token")
	case !strings.Contains(err.Error(), expected.Text):
		t.Errorf("expected %q in the reason, got: %v", expected.Text, err)
	}
}
