package issuers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lestrrat-go/jwx/v2/jwa"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/trace"
)

func TestTheTraceSaysWhatWasCompared(t *testing.T) {
	f := newFixture(t)
	withoutKid := issuertest.Key{Algorithm: f.ec.Algorithm, Private: f.ec.Private}
	const algorithms = " is one of ES256, ES384, ES512, PS256, PS384, PS512, RS256, RS384, RS512"
	const audience, times = `["cluster"] is for one of ["cluster"]`, "exp 2026-11-22T13:00:00Z, nbf 2026-11-22T12:00:00Z, iat 2026-11-22T12:00:00Z, it is now 2026-11-22T12:00:00Z"
	for _, test := range []struct {
		name, token string
		details     [5]string // of iss, alg, signature, aud and times
	}{
		{"a kid that one key has", f.rsa.Sign(valid()), [5]string{issuerURL, "RS256" + algorithms, `made with RS256 by the issuer's key "rsa"`, audience, times}},
		{"no kid", withoutKid.Sign(valid()), [5]string{issuerURL, "ES256" + algorithms, `made with ES256 by the issuer's key "ec", one of 3: the token has no kid`, audience, times}},
		{"another spelling of Google's issuer", f.other.Sign(valid().With(claims{"iss": "accounts.google.com"})),
			[5]string{"accounts.google.com is another spelling of https://accounts.google.com", "RS256" + algorithms, `made with RS256 by the issuer's key "other"`, audience, times}},
		{"neither nbf nor iat", f.rsa.Sign(valid().With(claims{"nbf": nil, "iat": nil, "aud": []string{"x", "cluster"}})),
			[5]string{issuerURL, "RS256" + algorithms, `made with RS256 by the issuer's key "rsa"`, `["x" "cluster"] is for one of ["cluster"]`, "exp 2026-11-22T13:00:00Z, it is now 2026-11-22T12:00:00Z"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			steps := &trace.Trace{}
			if verification, err := f.set.Verify(t.Context(), test.token, steps); err != nil || verification.Claims == nil {
				t.Fatalf("expected the token to be proven, got refusal %q, error %v", verification.Refusal, err)
			}
			var want []trace.Step
			for i, check := range []string{"iss", "alg", "signature", "aud", "times"} {
				want = append(want, trace.Step{Check: check, Outcome: trace.Passed, Detail: test.details[i]})
			}
			if diff := cmp.Diff(want, steps.Steps()); diff != "" {
				t.Errorf("expected -, got +:\n%s", diff)
			}
		})
	}
}

func TestTheTraceSaysThatAKeyIsNew(t *testing.T) {
	issuer := startIssuer(t, "")
	set := newSet(t, remote(issuer))
	set.AwaitFirstFetch(t.Context())
	issuer.Rotate(jwa.ES256)
	steps := &trace.Trace{}
	if _, err := set.Verify(t.Context(), issuer.Sign(valid().With(claims{"iss": issuer.URL})), steps); err != nil {
		t.Fatal(err)
	}
	want := trace.Step{Check: "signature", Outcome: trace.Passed, Detail: `made with ES256 by the issuer's key "` + issuer.Key().ID + `", fetched just now`}
	if got := steps.Steps()[2]; got != want {
		t.Errorf("expected %+v, got %+v", want, got)
	}
}

func TestTheTraceShowsAKeyWithoutKid(t *testing.T) {
	key := issuertest.NewKey("", jwa.ES256)
	set, err := issuers.NewSet([]issuers.Config{
		{Name: "main", URL: issuerURL, Audiences: []string{"cluster"}, Keys: issuers.KeysConfig{JWKS: issuertest.KeySet(key)}},
	}, nil, issuers.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close(nil)
	set.AwaitFirstFetch(t.Context())
	steps := &trace.Trace{}
	token := key.Sign(valid())
	if _, err := set.Verify(t.Context(), token, steps); err != nil {
		t.Fatal(err)
	}
	want := trace.Step{Check: "signature", Outcome: trace.Passed, Detail: "made with ES256 by the issuer's key without kid, one of 1: the token has no kid"}
	if got := steps.Steps()[2]; got != want {
		t.Errorf("expected %+v, got %+v", want, got)
	}
	for _, step := range steps.Steps() {
		for _, part := range strings.Split(token, ".") {
			if strings.Contains(step.Detail, part) {
				t.Errorf("%+v quotes the token", step)
			}
		}
	}
}
