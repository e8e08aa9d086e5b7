package convert_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/config"
	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

type claims = issuertest.Claims

// oidcOptions are upstream's OIDCAuthenticationOptions with their defaults.
type oidcOptions struct {
	CAFile, ClientID, IssuerURL   string
	UsernameClaim, UsernamePrefix string
	GroupsClaim, GroupsPrefix     string
	SigningAlgs                   []string
	RequiredClaims                map[string]string
}

func defaults() oidcOptions {
	return oidcOptions{UsernameClaim: "sub", SigningAlgs: []string{"RS256"}, RequiredClaims: map[string]string{}}
}

// authenticator is what upstream's ToAuthenticationConfig makes of the options
// (k8s.io/kubernetes/pkg/kubeapiserver/options/authentication.go, v1.36).
func (o oidcOptions) authenticator(ca string) apiserver.JWTAuthenticator {
	prefix := o.UsernamePrefix
	if o.UsernamePrefix == "" && o.UsernameClaim != "email" {
		prefix = o.IssuerURL + "#"
	}
	if o.UsernamePrefix == "-" {
		prefix = ""
	}
	jwt := apiserver.JWTAuthenticator{
		Issuer: apiserver.Issuer{URL: o.IssuerURL, Audiences: []string{o.ClientID}, CertificateAuthority: ca},
		ClaimMappings: apiserver.ClaimMappings{
			Username: apiserver.PrefixedClaimOrExpression{Prefix: &prefix, Claim: o.UsernameClaim},
		},
	}
	if len(o.GroupsClaim) > 0 {
		jwt.ClaimMappings.Groups = apiserver.PrefixedClaimOrExpression{Prefix: &o.GroupsPrefix, Claim: o.GroupsClaim}
	}
	for claim, value := range o.RequiredClaims {
		jwt.ClaimValidationRules = append(jwt.ClaimValidationRules, apiserver.ClaimValidationRule{Claim: claim, RequiredValue: value})
	}
	return jwt
}

// upstream makes the authenticator that kube-apiserver makes of the options, its
// keys fetched.
func (o oidcOptions) upstream(t *testing.T, ca string) func(token string) (*user.DefaultInfo, error) {
	t.Helper()
	content, err := dynamiccertificates.NewStaticCAContent("oidc-authenticator", []byte(ca))
	if err != nil {
		t.Fatal(err)
	}
	authenticator, err := oidc.New(t.Context(), oidc.Options{
		JWTAuthenticator: o.authenticator(ca), CAContentProvider: content, SupportedSigningAlgs: o.SigningAlgs,
	})
	if err != nil {
		t.Fatal(err)
	}
	err = wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		return authenticator.HealthCheck() == nil, nil
	})
	if err != nil {
		t.Fatal(authenticator.HealthCheck())
	}
	return func(token string) (*user.DefaultInfo, error) {
		response, ok, err := authenticator.AuthenticateToken(t.Context(), token)
		if err != nil || !ok {
			return nil, err
		}
		return response.User.(*user.DefaultInfo), nil
	}
}

// TestTheFileMeansWhatTheFlagsMeanToTheAPIServer gives the same tokens to
// kube-apiserver's authenticator, made of flags, and to the webhook, made of the
// file that they are converted into.
func TestTheFileMeansWhatTheFlagsMeanToTheAPIServer(t *testing.T) {
	issuer := issuertest.Start("")
	defer issuer.Close()
	rsa, elliptic := issuer.Key(), issuertest.NewKey("elliptic", "ES256")
	issuer.SetKeys(elliptic, rsa)
	ca := issuer.CertificateAuthority()
	caFile := write(t, "ca.crt", "# Example\n"+ca)

	base := claims{"iss": issuer.URL, "aud": "kubernetes", "sub": "jane", "exp": time.Now().Add(time.Hour).Unix()}
	tokens := map[string]string{
		"plain":               rsa.Sign(base),
		"ES256":               elliptic.Sign(base),
		"another audience":    rsa.Sign(base.With(claims{"aud": "elsewhere"})),
		"several audiences":   rsa.Sign(base.With(claims{"aud": []string{"elsewhere", "kubernetes"}})),
		"expired":             rsa.Sign(base.With(claims{"exp": time.Now().Add(-time.Minute).Unix()})),
		"email":               rsa.Sign(base.With(claims{"email": "j@example.com"})),
		"verified email":      rsa.Sign(base.With(claims{"email": "j@example.com", "email_verified": true})),
		"unverified email":    rsa.Sign(base.With(claims{"email": "j@example.com", "email_verified": false})),
		"groups":              rsa.Sign(base.With(claims{"groups": []string{"a", "b"}, "email": "j@example.com"})),
		"one group":           rsa.Sign(base.With(claims{"groups": "a", "email": "j@example.com"})),
		"groups of no text":   rsa.Sign(base.With(claims{"groups": 5, "email": "j@example.com"})),
		"nested groups":       rsa.Sign(base.With(claims{"realm_access": claims{"roles": []string{"a"}}})),
		"a jti":               rsa.Sign(base.With(claims{"jti": "1"})),
		"hd":                  rsa.Sign(base.With(claims{"hd": "example.com", "tier": ""})),
		"hd without tier":     rsa.Sign(base.With(claims{"hd": "example.com"})),
		"another hd":          rsa.Sign(base.With(claims{"hd": "evil.example", "tier": ""})),
		"hd with an equals":   rsa.Sign(base.With(claims{"hd": "a=b,tier=c"})),
		"a reserved username": rsa.Sign(base.With(claims{"sub": "system:admin", "email": "system:admin"})),
		"a reserved group":    rsa.Sign(base.With(claims{"groups": []string{"system:masters"}, "email": "j@example.com"})),
		"another issuer":      rsa.Sign(base.With(claims{"iss": "https://stranger.example"})),
		"a forged signature":  issuertest.NewKey(rsa.ID, "RS256").Sign(base),
		"a name of YAML":      rsa.Sign(base.With(claims{"yes": "null", "0777": []string{"~"}})),
	}
	for _, test := range []struct {
		name  string
		words []string
		set   func(*oidcOptions)
	}{
		{"issuer and client alone", nil, func(*oidcOptions) {}},
		{"username from email", []string{"--oidc-username-claim=email"}, func(o *oidcOptions) { o.UsernameClaim = "email" }},
		{"username from email with a prefix", []string{"--oidc-username-claim=email", "--oidc-username-prefix=oidc:"}, func(o *oidcOptions) { o.UsernameClaim, o.UsernamePrefix = "email", "oidc:" }},
		{"username from email without prefix", []string{"--oidc-username-claim=email", "--oidc-username-prefix=-"}, func(o *oidcOptions) { o.UsernameClaim, o.UsernamePrefix = "email", "-" }},
		{"username from a claim that few have", []string{"--oidc-username-claim=hd"}, func(o *oidcOptions) { o.UsernameClaim = "hd" }},
		{"a username prefix", []string{"--oidc-username-prefix=oidc:"}, func(o *oidcOptions) { o.UsernamePrefix = "oidc:" }},
		{"no username prefix", []string{"--oidc-username-prefix=-"}, func(o *oidcOptions) { o.UsernamePrefix = "-" }},
		{"an empty username prefix", []string{"--oidc-username-prefix="}, func(*oidcOptions) {}},
		{"a reserved username prefix", []string{"--oidc-username-prefix=system:oidc:"}, func(o *oidcOptions) { o.UsernamePrefix = "system:oidc:" }},
		{"groups", []string{"--oidc-groups-claim=groups"}, func(o *oidcOptions) { o.GroupsClaim = "groups" }},
		{"groups with a prefix", []string{"--oidc-groups-claim=groups", "--oidc-groups-prefix=oidc:"}, func(o *oidcOptions) { o.GroupsClaim, o.GroupsPrefix = "groups", "oidc:" }},
		{"groups with a dash for a prefix", []string{"--oidc-groups-claim=groups", "--oidc-groups-prefix=-"}, func(o *oidcOptions) { o.GroupsClaim, o.GroupsPrefix = "groups", "-" }},
		{"a groups prefix without claim", []string{"--oidc-groups-prefix=oidc:"}, func(o *oidcOptions) { o.GroupsPrefix = "oidc:" }},
		{"groups from what looks like a path", []string{"--oidc-groups-claim=realm_access.roles"}, func(o *oidcOptions) { o.GroupsClaim = "realm_access.roles" }},
		{"a required claim", []string{"--oidc-required-claim=hd=example.com"}, func(o *oidcOptions) { o.RequiredClaims["hd"] = "example.com" }},
		{"required claims, one of them empty", []string{"--oidc-required-claim= hd = example.com ", "--oidc-required-claim=tier="}, func(o *oidcOptions) { o.RequiredClaims["hd"], o.RequiredClaims["tier"] = "example.com", "" }},
		{"a required claim that is not split", []string{"--oidc-required-claim=hd=a=b,tier=c"}, func(o *oidcOptions) { o.RequiredClaims["hd"] = "a=b,tier=c" }},
		{"another algorithm", []string{"--oidc-signing-algs=ES256"}, func(o *oidcOptions) { o.SigningAlgs = []string{"ES256"} }},
		{"several algorithms", []string{"--oidc-signing-algs=ES256,RS256", "--oidc-signing-algs=PS256,ES256"}, func(o *oidcOptions) { o.SigningAlgs = []string{"ES256", "RS256", "PS256", "ES256"} }},
		{"no algorithms", []string{"--oidc-signing-algs="}, func(o *oidcOptions) { o.SigningAlgs = nil }},
		{"another client", []string{"--oidc-client-id=elsewhere"}, func(o *oidcOptions) { o.ClientID = "elsewhere" }},
		{"names that YAML would misread", []string{"--oidc-username-claim=yes", "--oidc-username-prefix=# ", "--oidc-groups-claim=0777", "--oidc-groups-prefix=null"}, func(o *oidcOptions) {
			o.UsernameClaim, o.UsernamePrefix, o.GroupsClaim, o.GroupsPrefix = "yes", "# ", "0777", "null"
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			text, err := convertWords(t, append([]string{"--oidc-issuer-url=" + issuer.URL, "--oidc-client-id=kubernetes", "--oidc-ca-file=" + caFile}, test.words...))
			if err != nil {
				t.Fatal(err)
			}
			options := defaults()
			options.IssuerURL, options.ClientID = issuer.URL, "kubernetes"
			test.set(&options)
			compareConfigurations(t, options.authenticator(ca), text)
			theirs, ours := options.upstream(t, ca), reviewer(t, text)
			accepted := 0
			for name, token := range tokens {
				user, err := theirs(token)
				answer := ours.Review(t.Context(), token, nil, nil)
				if answer.Undecided {
					t.Errorf("%s: undecided: %s", name, answer.Refusal)
				}
				if answer.Refusal.Code == reason.ReservedName && user != nil && reserved(user) {
					continue // The one difference, which the file's comment tells.
				}
				if diff := cmp.Diff(user, answer.User, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("%s: upstream -, ours +:\n%supstream: %v\nours: %s\nfile:\n%s", name, diff, err, answer.Refusal, text)
				}
				if user != nil {
					accepted++
				}
			}
			if accepted == 0 && test.name != "a reserved username prefix" {
				t.Error("no token was accepted: the test compares nothing")
			}
		})
	}
}

// reserved reports whether the user needs a note in the file to be refused.
func reserved(user *user.DefaultInfo) bool {
	for _, name := range append([]string{user.Name}, user.Groups...) {
		if strings.HasPrefix(name, "system:") {
			return true
		}
	}
	return false
}

// compareConfigurations compares what the file says with what upstream makes of the
// flags.
func compareConfigurations(t *testing.T, want apiserver.JWTAuthenticator, text []byte) {
	t.Helper()
	loaded, err := config.Parse("converted.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	byClaim := cmpopts.SortSlices(func(a, b apiserver.ClaimValidationRule) bool { return a.Claim < b.Claim })
	if diff := cmp.Diff(want, loaded.Issuers[0].JWT, cmpopts.EquateEmpty(), byClaim); diff != "" {
		t.Errorf("upstream -, ours +:\n%s", diff)
	}
}

func reviewer(t *testing.T, text []byte) *tokenreview.Reviewer {
	t.Helper()
	loaded, err := config.Parse("converted.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := loaded.Build(nil, config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rules.Issuers.Close(nil) })
	rules.Issuers.AwaitFirstFetch(t.Context())
	return tokenreview.NewReviewer(rules)
}
