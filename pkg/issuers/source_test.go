package issuers_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"golang.org/x/sys/unix"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/trace"
)

func startIssuer(t *testing.T, url string) *issuertest.Issuer {
	t.Helper()
	issuer := issuertest.Start(url)
	t.Cleanup(issuer.Close)
	return issuer
}

// remote is the configuration of an issuer whose keys are fetched.
func remote(issuer *issuertest.Issuer) issuers.Config {
	return issuers.Config{
		Name: "main", URL: issuer.URL, Audiences: []string{"cluster"},
		Keys: issuers.KeysConfig{CertificateAuthority: []byte(issuer.CertificateAuthority())},
	}
}

func newSet(t *testing.T, configs ...issuers.Config) *issuers.Set {
	t.Helper()
	set, err := issuers.NewSet(configs, nil, issuers.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close(nil) })
	set.AwaitFirstFetch(t.Context())
	return set
}

func expectProven(t *testing.T, set *issuers.Set, token string) *issuers.Claims {
	t.Helper()
	verification, err := set.Verify(t.Context(), token, nil)
	if err != nil || verification.Claims == nil {
		t.Fatalf("expected the token to be proven, got refusal %q, error %v", verification.Refusal, err)
	}
	return verification.Claims
}

func TestKeysAreFoundThroughDiscovery(t *testing.T) {
	issuer := startIssuer(t, "")
	expectProven(t, newSet(t, remote(issuer)), issuer.Sign(valid().With(claims{"iss": issuer.URL})))
}

func TestKeysAreFoundThroughADiscoveryURLElsewhere(t *testing.T) {
	issuer := startIssuer(t, issuerURL)
	config := remote(issuer)
	config.Keys.DiscoveryURL = issuer.DiscoveryURL()
	expectProven(t, newSet(t, config), issuer.Sign(valid()))
}

func TestKeysAreFoundAtAConfiguredURL(t *testing.T) {
	issuer := startIssuer(t, issuerURL)
	config := remote(issuer)
	config.Keys.JWKSURL = issuer.KeySetURL()
	expectProven(t, newSet(t, config), issuer.Sign(valid()))
	if discovery, _ := issuer.Fetches(); discovery != 0 {
		t.Errorf("expected no fetch of the discovery document, got %d", discovery)
	}
}

func TestKeysAreReadFromAFile(t *testing.T) {
	key := issuertest.NewKey("key", jwa.RS256)
	file := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, issuertest.KeySet(key), 0o600); err != nil {
		t.Fatal(err)
	}
	set := newSet(t, issuers.Config{Name: "main", URL: issuerURL, Audiences: []string{"cluster"}, Keys: issuers.KeysConfig{JWKSFile: file}})
	expectProven(t, set, key.Sign(valid()))
}

// A fetch that must not succeed leaves the issuer without keys, and its tokens
// undecided rather than refused.
func TestAnIssuerThatMisbehavesHasNoKeys(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) }))
	defer plain.Close()
	body := func(format string, args ...any) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintf(w, format, args...) })
	}
	for name, test := range map[string]struct {
		answer http.Handler
		text   string
	}{
		"answers 500":                        {http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }), "500"},
		"answers with a web page":            {body("<html>"), "byte 0"},
		"speaks for another issuer":          {body(`{"issuer":"https://evil.example","jwks_uri":"https://evil.example/keys"}`), `expected issuer "https://issuer.example", got "https://evil.example"`},
		"names itself with a slash too many": {body(`{"issuer":"https://issuer.example/","jwks_uri":"https://evil.example/keys"}`), "expected issuer"},
		"names no keys":                      {body(`{"issuer":"https://issuer.example"}`), "no jwks_uri"},
		"names keys without TLS":             {body(`{"issuer":"https://issuer.example","jwks_uri":%q}`, plain.URL), "not an https URL"},
		"names a file for keys":              {body(`{"issuer":"https://issuer.example","jwks_uri":"file:///etc/passwd"}`), "not an https URL"},
		"names its keys twice":               {body(`{"issuer":"https://issuer.example","jwks_uri":"https://a.example","jwks_uri":"https://b.example"}`), "discovery document"},
		"redirects to a server without TLS":  {http.RedirectHandler(plain.URL, http.StatusFound), "away from https"},
		"redirects for ever":                 {http.RedirectHandler("/again", http.StatusFound), "redirects"},
		"answers without end":                {body("%s", strings.Repeat(" ", 2<<20)), "longer than"},
		"answers without end, compressed": {http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			compressed := gzip.NewWriter(w)
			_, _ = compressed.Write(make([]byte, 64<<20))
			_ = compressed.Close()
		}), "longer than"},
		"answers with a header without end": {http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("a", 1<<20))
		}), "header"},
		"closes the connection without an answer": {http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			issuer := startIssuer(t, issuerURL)
			issuer.Answer(test.answer)
			config := remote(issuer)
			config.Keys.DiscoveryURL = issuer.DiscoveryURL()
			set := newSet(t, config)
			_, err := set.Verify(t.Context(), issuer.Sign(valid()), nil)
			if err == nil || !strings.Contains(err.Error(), test.text) {
				t.Errorf("expected an error with %q, got %v", test.text, err)
			}
			status := set.Statuses()[0]
			if status.Err == nil || status.LastErr == nil || status.Keys != 0 || !status.Fetched.IsZero() {
				t.Errorf("expected the status to tell, got %+v", status)
			}
		})
	}
}

func TestAnUntrustedCertificateIsRefused(t *testing.T) {
	issuer := startIssuer(t, "")
	config := remote(issuer)
	config.Keys.CertificateAuthority = nil // the system's roots
	set := newSet(t, config)
	if _, err := set.Verify(t.Context(), issuer.Sign(valid().With(claims{"iss": issuer.URL})), nil); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("expected an error about the certificate, got %v", err)
	}
}

func TestABadSignatureUnderAKnownKeyFetchesNothing(t *testing.T) {
	issuer := startIssuer(t, issuerURL)
	config := remote(issuer)
	config.Keys.DiscoveryURL = issuer.DiscoveryURL()
	var ahead atomic.Int64
	set, err := issuers.NewSet([]issuers.Config{config}, nil, issuers.Options{Now: func() time.Time { return now.Add(time.Duration(ahead.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close(nil)
	set.AwaitFirstFetch(t.Context())
	ahead.Store(int64(time.Minute)) // when a fetch would be allowed
	for _, test := range []struct {
		kid     string
		code    reason.Code
		fetches int64
	}{
		{issuer.Key().ID, reason.SignatureInvalid, 1},
		{"unknown", reason.KeyUnknown, 2},
	} {
		verification, err := set.Verify(t.Context(), issuertest.NewKey(test.kid, jwa.RS256).Sign(valid()), nil)
		if err != nil || verification.Refusal.Code != test.code {
			t.Errorf("kid %q: expected %s, got %q, error %v", test.kid, test.code, verification.Refusal, err)
		}
		if _, keys := issuer.Fetches(); keys != test.fetches {
			t.Errorf("kid %q: expected %d fetches in all, got %d", test.kid, test.fetches, keys)
		}
	}
}

// An operator may want keys to be forgotten soon after their issuer has gone.
func TestKeysAreFetchedBeforeTheyAreTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := issuertest.NewKey("key", jwa.ES256)
		file := filepath.Join(t.TempDir(), "jwks.json")
		if err := os.WriteFile(file, issuertest.KeySet(key), 0o600); err != nil {
			t.Fatal(err)
		}
		for name, config := range map[string]issuers.KeysConfig{
			"in a file":            {JWKSFile: file, MaxStaleness: time.Minute},
			"in the configuration": {JWKS: issuertest.KeySet(key), MaxStaleness: time.Minute},
		} {
			set, err := issuers.NewSet([]issuers.Config{{Name: "main", URL: issuerURL, Audiences: []string{"a"}, Keys: config}}, nil, issuers.Options{})
			if err != nil {
				t.Fatal(err)
			}
			set.AwaitFirstFetch(t.Context())
			for range 600 {
				time.Sleep(time.Second) // of the bubble's clock
				if err := set.Statuses()[0].Err; err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			set.Close(nil)
		}
	})
}

func TestOneIssuerNeverWaitsForAnother(t *testing.T) {
	release := make(chan struct{})
	hung, well := startIssuer(t, "https://hung.example"), startIssuer(t, "")
	// After the issuers', so that it runs before them: they wait for the handler.
	t.Cleanup(sync.OnceFunc(func() { close(release) }))
	hung.Answer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	hungConfig := remote(hung)
	hungConfig.Name, hungConfig.Keys.DiscoveryURL = "hung", hung.DiscoveryURL()
	set, err := issuers.NewSet([]issuers.Config{hungConfig, remote(well)}, nil, issuers.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close(nil)
	token := well.Sign(valid().With(claims{"iss": well.URL}))
	deadline := time.After(4 * time.Second) // less than the hung issuer's timeouts
	for {
		verification, err := set.Verify(t.Context(), token, nil)
		if err == nil && verification.Claims != nil {
			break
		}
		select {
		case <-deadline:
			t.Fatalf("the well issuer's token is not proven while another hangs: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	if _, err := set.Verify(t.Context(), hung.Sign(valid().With(claims{"iss": hung.URL})), nil); err == nil {
		t.Error("expected the hung issuer's token to be undecided")
	}
}

func TestANewSetKeepsTheKeysOfUnchangedIssuers(t *testing.T) {
	issuer := startIssuer(t, "")
	before := newSet(t, remote(issuer))
	changed := remote(issuer)
	changed.Audiences = []string{"another"}
	after, err := issuers.NewSet([]issuers.Config{changed}, before, issuers.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	before.Close(after)
	defer after.Close(nil)
	expectProven(t, after, issuer.Sign(valid().With(claims{"iss": issuer.URL, "aud": "another"})))
	if _, keys := issuer.Fetches(); keys != 1 {
		t.Errorf("expected one fetch of the keys in all, got %d", keys)
	}
}

// An operator who raises maxStaleness does it while the issuer is away.
func TestANewSetKeepsTheKeysOfARenamedIssuer(t *testing.T) {
	issuer := startIssuer(t, "")
	before := newSet(t, remote(issuer))
	issuer.Answer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	changed := remote(issuer)
	changed.Name, changed.Keys.MaxStaleness = "renamed", 48*time.Hour
	after, err := issuers.NewSet([]issuers.Config{changed}, before, issuers.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	before.Close(after)
	defer after.Close(nil)
	after.AwaitFirstFetch(t.Context())
	expectProven(t, after, issuer.Sign(valid().With(claims{"iss": issuer.URL})))
}

func TestAKeyFileMustBeARegularFile(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "jwks.json")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	set := newSet(t, issuers.Config{Name: "main", URL: issuerURL, Audiences: []string{"cluster"}, Keys: issuers.KeysConfig{JWKSFile: pipe}})
	if err := set.Statuses()[0].Err; err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("expected an error that says so, got %v", err)
	}
}

func TestANewSetDoesNotKeepKeysFromElsewhere(t *testing.T) {
	issuer, impostor := startIssuer(t, issuerURL), startIssuer(t, issuerURL)
	config := remote(impostor)
	config.Keys.DiscoveryURL = impostor.DiscoveryURL()
	before := newSet(t, config)
	config = remote(issuer)
	config.Keys.DiscoveryURL = issuer.DiscoveryURL()
	after, err := issuers.NewSet([]issuers.Config{config}, before, issuers.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	before.Close(after)
	defer after.Close(nil)
	after.AwaitFirstFetch(t.Context())
	expectProven(t, after, issuer.Sign(valid()))
	verification, err := after.Verify(t.Context(), impostor.Sign(valid()), nil)
	if err != nil || verification.Refusal.Code != reason.SignatureInvalid {
		t.Errorf("expected the former keys to verify nothing, got %q, error %v", verification.Refusal, err)
	}
}

func TestDistributedGroups(t *testing.T) {
	issuer, groups := startIssuer(t, ""), startIssuer(t, "")
	stranger := startIssuer(t, "")
	var answer string
	var bearer string
	endpoint := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bearer = r.Header.Get("Authorization")
		if answer == "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(answer + "\n"))
	}))
	defer endpoint.Close()
	config, groupsConfig := remote(issuer), remote(groups)
	config.GroupsClaim = "groups"
	groupsConfig.Name, groupsConfig.Audiences = "groups", []string{"of no matter here"}
	set := newSet(t, config, groupsConfig)

	token := func(changes claims) string {
		return issuer.Sign(valid().With(claims{
			"iss":            issuer.URL,
			"_claim_names":   claims{"groups": "src1"},
			"_claim_sources": claims{"src1": claims{"endpoint": endpoint.URL + "/claims?sig=SECRET", "access_token": "secret"}},
		}).With(changes))
	}
	distributed := valid().With(claims{"iss": groups.URL, "groups": []string{"a", "b"}})
	for _, test := range []struct {
		name        string
		token       string
		answer      string
		groups      string
		code        reason.Code
		unavailable bool
	}{
		{name: "by a configured issuer", token: token(nil), answer: groups.Sign(distributed), groups: `["a","b"]`},
		{name: "by the token's own issuer", token: token(nil), answer: issuer.Sign(distributed.With(claims{"iss": issuer.URL})), groups: `["a","b"]`},
		{name: "not looked for where the token has groups", token: token(claims{"groups": []string{"own"}}), groups: `["own"]`},
		{name: "by an issuer that is not configured", token: token(nil), answer: stranger.Sign(distributed.With(claims{"iss": stranger.URL})), code: reason.MappingFailed},
		{name: "signed with another issuer's key", token: token(nil), answer: stranger.Sign(distributed), code: reason.MappingFailed},
		{name: "for another audience", token: token(nil), answer: groups.Sign(distributed.With(claims{"aud": "of no matter here"})), code: reason.MappingFailed},
		{name: "expired", token: token(nil), answer: groups.Sign(distributed.With(claims{"exp": now.Add(-time.Minute).Unix()})), code: reason.MappingFailed},
		{name: "without the claim", token: token(nil), answer: groups.Sign(distributed.With(claims{"groups": nil})), code: reason.MappingFailed},
		{name: "not a JWT", token: token(nil), answer: "hello", code: reason.MappingFailed},
		{name: "not to be had", token: token(nil), unavailable: true},
		{name: "at an address where nobody listens", token: token(claims{"_claim_sources": claims{"src1": claims{"endpoint": "https://user:SECRET@127.0.0.1:1/SECRET"}}}), unavailable: true},
		{name: "kept without TLS", token: token(claims{"_claim_sources": claims{"src1": claims{"endpoint": "http://user:SECRET@127.0.0.1:1/claims"}}}), unavailable: true},
		{name: "of which the source is missing", token: token(claims{"_claim_sources": claims{}}), code: reason.TokenMalformed},
		{name: "of which the source has no name", token: token(claims{"_claim_names": claims{"groups": ""}, "_claim_sources": claims{"": claims{"endpoint": endpoint.URL}}}), code: reason.TokenMalformed},
		{name: "in a list of sources", token: token(claims{"_claim_sources": []string{"src1"}}), code: reason.TokenMalformed},
		{name: "in a list of names", token: token(claims{"_claim_names": []string{"groups"}}), code: reason.TokenMalformed},
		{name: "of nothing, with no sources", token: token(claims{"_claim_names": claims{}, "_claim_sources": nil}), code: reason.TokenMalformed},
		{name: "in a source without a name, which none has named", token: token(claims{"_claim_names": claims{}, "_claim_sources": claims{"": claims{"endpoint": endpoint.URL}}}), answer: "unasked"},
		{name: "aggregated, which upstream ignores", token: token(claims{"_claim_sources": claims{"src1": claims{"JWT": "a.b.c"}}})},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer, bearer = test.answer, ""
			steps := &trace.Trace{}
			verification, err := set.Verify(t.Context(), test.token, steps)
			if (err != nil) != test.unavailable {
				t.Fatalf("expected unavailable to be %v, got error %v, refusal %q", test.unavailable, err, verification.Refusal)
			}
			asked := test.unavailable || test.code == reason.MappingFailed || test.groups == `["a","b"]`
			if verification.Asked != asked {
				t.Errorf("expected somebody else to have been asked: %v, got %v", asked, verification.Asked)
			}
			if text := fmt.Sprint(err, verification.Refusal); strings.Contains(text, "SECRET") {
				t.Errorf("the text names the endpoint, which is part of the token: %s", text)
			}
			last := steps.Steps()[len(steps.Steps())-1]
			if failed := last.Outcome == trace.Failed; failed != (err != nil || test.code != "") || failed && last.Check != "distributed claims" {
				t.Errorf("expected the trace to end with what came of it, got %+v", last)
			}
			if test.unavailable {
				if !strings.HasSuffix(err.Error(), last.Detail) {
					t.Errorf("expected the trace to say why, %v, got %+v", err, last)
				}
				return
			}
			if verification.Refusal.Code != test.code {
				t.Fatalf("expected %q, got %q", test.code, verification.Refusal)
			}
			if test.code != "" {
				if last.Detail != verification.Refusal.Text {
					t.Errorf("expected the trace to say why, %q, got %+v", verification.Refusal, last)
				}
				return
			}
			if fetched := last.Check == "distributed claims"; fetched != (bearer != "") {
				t.Errorf("expected the trace to say whether they were fetched, got %+v", last)
			}
			if fetched := `the claim "groups", which the token keeps elsewhere, is ["a" "b"]`; (last.Detail == fetched) != (bearer != "") {
				t.Errorf("expected the trace to say what was fetched, if anything was, got %+v", last)
			}
			got, _ := verification.Claims.Get("groups")
			if string(got) != test.groups {
				t.Errorf("expected groups %s, got %s", test.groups, got)
			}
			if test.answer == "unasked" {
				if bearer != "" || got != nil {
					t.Error("expected nothing to be fetched")
				}
				return
			}
			if test.answer != "" && bearer != "Bearer secret" {
				t.Errorf("expected the source's access token to be sent, got %q", bearer)
			}
		})
	}
}

// A claim source that hangs holds up tokens of its own issuer alone, and not all of
// the requests that callers may have.
func TestTokensWhoseClaimsAreBeingFetchedAreBounded(t *testing.T) {
	issuer := startIssuer(t, "")
	released := make(chan struct{})
	release := sync.OnceFunc(func() { close(released) })
	endpoint := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-released }))
	defer endpoint.Close()
	defer release()
	config := remote(issuer)
	config.GroupsClaim = "groups"
	set := newSet(t, config)
	token := issuer.Sign(valid().With(claims{
		"iss": issuer.URL, "_claim_names": claims{"groups": "src1"}, "_claim_sources": claims{"src1": claims{"endpoint": endpoint.URL}},
	}))
	var refused atomic.Int64
	var hung sync.WaitGroup
	for range 65 {
		hung.Go(func() {
			if _, err := set.Verify(t.Context(), token, nil); err != nil && strings.Contains(err.Error(), "64 others of the issuer are being fetched already") {
				// The first one that is refused lets the others end.
				refused.Add(1)
				release()
			}
		})
	}
	hung.Wait()
	if n := refused.Load(); n != 1 {
		t.Errorf("expected one to be undecided at once, got %d", n)
	}
	expectProven(t, set, issuer.Sign(valid().With(claims{"iss": issuer.URL})))
}

func TestNothingIsFetchedForAnIssuerWithoutAGroupsClaim(t *testing.T) {
	issuer := startIssuer(t, "")
	set := newSet(t, remote(issuer))
	for name, changes := range map[string]claims{
		"groups":                 {"_claim_names": claims{"groups": "src1"}, "_claim_sources": claims{"src1": claims{"endpoint": "https://127.0.0.1:1/"}}},
		"a claim without a name": {"_claim_names": claims{"": "src1"}, "_claim_sources": claims{"src1": claims{"endpoint": "https://127.0.0.1:1/"}}},
		"nothing":                {"_claim_names": claims{}},
	} {
		t.Run(name, func(t *testing.T) {
			expectProven(t, set, issuer.Sign(valid().With(claims{"iss": issuer.URL}).With(changes)))
		})
	}
}

// Entra ID's claim sources are for the policy: nobody asks where they point to, and
// whatever form they have, the token is no worse for it.
func TestClaimSourcesCanBeLeftToThePolicy(t *testing.T) {
	issuer := startIssuer(t, "")
	endpoint := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the claim source was asked")
	}))
	defer endpoint.Close()
	config := remote(issuer)
	config.GroupsClaim, config.IgnoreClaimSources = "groups", true
	set := newSet(t, config)
	for name, changes := range map[string]claims{
		"with an endpoint":     {"_claim_names": claims{"groups": "src1"}, "_claim_sources": claims{"src1": claims{"endpoint": endpoint.URL}}},
		"without sources":      {"_claim_names": claims{"groups": "src1"}},
		"of some other form":   {"_claim_names": []string{"groups"}, "_claim_sources": "src1"},
		"with a source's name": {"groups": "src1", "_claim_sources": claims{"src1": claims{"endpoint": endpoint.URL}}},
	} {
		t.Run(name, func(t *testing.T) {
			verification, err := set.Verify(t.Context(), issuer.Sign(valid().With(claims{"iss": issuer.URL}).With(changes)), nil)
			if err != nil || verification.Claims == nil {
				t.Errorf("expected the token's claims as they are, got %q, error %v", verification.Refusal, err)
			}
		})
	}
}

func TestAKeyFileBeyondTheLimitIsNotRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "jwks.json")
	data := append(issuertest.KeySet(issuertest.NewKey("key", "ES256")), bytes.Repeat([]byte(" "), 1<<20)...)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	set := newSet(t, issuers.Config{Name: "main", URL: issuerURL, Audiences: []string{"cluster"}, Keys: issuers.KeysConfig{JWKSFile: file}})
	if err := set.Statuses()[0].Err; err == nil || !strings.Contains(err.Error(), "larger than 1048576 bytes") {
		t.Errorf("expected an error that says so, got %v", err)
	}
}

func TestIssuersThatAreAmbiguousOrCannotBeUsedAreErrors(t *testing.T) {
	jwks := issuers.KeysConfig{JWKS: issuertest.KeySet(issuertest.NewKey("key", "ES256"))}
	main := issuers.Config{Name: "main", URL: issuerURL, Keys: jwks}
	for name, test := range map[string]struct {
		configs []issuers.Config
		text    string
	}{
		"a URL twice":                     {[]issuers.Config{main, {Name: "again", URL: issuerURL, Keys: jwks}}, `issuer "again": its URL is another's`},
		"an algorithm with shared secret": {[]issuers.Config{{Name: "main", URL: issuerURL, Algorithms: []string{"HS256"}, Keys: jwks}}, `algorithm "HS256" is not supported`},
		"no signature at all":             {[]issuers.Config{{Name: "main", URL: issuerURL, Algorithms: []string{"none"}, Keys: jwks}}, `algorithm "none" is not supported`},
		"an authority that is no PEM":     {[]issuers.Config{{Name: "main", URL: issuerURL, Keys: issuers.KeysConfig{JWKSURL: "https://a.example", CertificateAuthority: []byte("hello")}}}, "no PEM certificate"},
		"keys that are none":              {[]issuers.Config{{Name: "main", URL: issuerURL, Keys: issuers.KeysConfig{JWKS: []byte("{}")}}}, "keys.jwks: "},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := issuers.NewSet(test.configs, nil, issuers.Options{}); err == nil || !strings.Contains(err.Error(), test.text) {
				t.Errorf("expected an error with %q, got %v", test.text, err)
			}
		})
	}
}

func TestFiveRedirectsAreFollowedAndNoMore(t *testing.T) {
	for redirects, text := range map[int]string{5: "", 6: "more than 5 redirects"} {
		issuer := startIssuer(t, issuerURL)
		issuer.Answer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var n int
			if _, err := fmt.Sscanf(r.URL.Path, "/%d", &n); err != nil {
				issuer.Genuine(w, r)
				return
			}
			next := "/keys"
			if n > 1 {
				next = fmt.Sprintf("/%d", n-1)
			}
			http.Redirect(w, r, next, http.StatusFound)
		}))
		config := remote(issuer)
		config.Keys.JWKSURL = fmt.Sprintf("%s/%d", issuer.Address(), redirects)
		err := newSet(t, config).Statuses()[0].Err
		if (err == nil) != (text == "") || err != nil && !strings.Contains(err.Error(), text) {
			t.Errorf("%d redirects: expected an error with %q, got %v", redirects, text, err)
		}
	}
}

func TestADiscoveryDocumentIsFoundBesideATrailingSlash(t *testing.T) {
	issuer := startIssuer(t, "")
	issuer.URL += "/"
	expectProven(t, newSet(t, remote(issuer)), issuer.Sign(valid().With(claims{"iss": issuer.URL})))
}

func TestFetchesSayWhoAsksAndForWhat(t *testing.T) {
	issuer := startIssuer(t, issuerURL)
	headers := make(chan http.Header, 1)
	issuer.Answer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headers <- r.Header.Clone()
		issuer.Genuine(w, r)
	}))
	config := remote(issuer)
	config.Keys.JWKSURL = issuer.KeySetURL()
	newSet(t, config)
	header := <-headers
	for name, value := range map[string]string{"User-Agent": "tokenreview-webhook", "Accept": "application/json, application/jwk-set+json, application/jwt", "Authorization": ""} {
		if got := header.Get(name); got != value {
			t.Errorf("expected %s: %q, got %q", name, value, got)
		}
	}
}

// A connection that is kept can be dead without a sign, over HTTP/2 for many fetches.
func TestNoConnectionToAnIssuerIsKept(t *testing.T) {
	issuer := startIssuer(t, "")
	connections := make(chan string, 4)
	issuer.Answer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connections <- r.RemoteAddr
		issuer.Genuine(w, r)
	}))
	config := remote(issuer)
	config.Keys.JWKSURL = issuer.KeySetURL()
	set := newSet(t, config)
	// A kid that is not known is reason for another fetch.
	if _, err := set.Verify(t.Context(), issuertest.NewKey("unknown", jwa.RS256).Sign(valid().With(claims{"iss": issuer.URL})), nil); err != nil {
		t.Fatal(err)
	}
	if first, second := <-connections, <-connections; first == second {
		t.Errorf("expected another connection for another fetch, got %s", first)
	}
}

func TestNoCookieOfAnIssuerIsKept(t *testing.T) {
	issuer := startIssuer(t, "")
	cookies := make(chan string, 2) // with the discovery document and the keys
	issuer.Answer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookies <- r.Header.Get("Cookie")
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "1", Path: "/"})
		issuer.Genuine(w, r)
	}))
	newSet(t, remote(issuer))
	for range 2 {
		if cookie := <-cookies; cookie != "" {
			t.Errorf("expected no cookie, got %q", cookie)
		}
	}
}

func TestANewSetDoesNotKeepKeysOfAnotherSource(t *testing.T) {
	issuer, other := startIssuer(t, issuerURL), startIssuer(t, issuerURL)
	jwks := issuertest.KeySet(issuer.Key())
	file, otherFile := filepath.Join(t.TempDir(), "a.json"), filepath.Join(t.TempDir(), "b.json")
	for _, name := range []string{file, otherFile} {
		if err := os.WriteFile(name, jwks, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	authority := []byte(issuer.CertificateAuthority())
	for name, test := range map[string]struct{ before, after issuers.KeysConfig }{
		"other keys in the configuration": {issuers.KeysConfig{JWKS: jwks}, issuers.KeysConfig{JWKS: append([]byte(" "), jwks...)}},
		"another file":                    {issuers.KeysConfig{JWKSFile: file}, issuers.KeysConfig{JWKSFile: otherFile}},
		"another URL":                     {issuers.KeysConfig{JWKSURL: issuer.KeySetURL(), CertificateAuthority: authority}, issuers.KeysConfig{JWKSURL: other.KeySetURL(), CertificateAuthority: authority}},
		"another discovery document":      {issuers.KeysConfig{DiscoveryURL: issuer.DiscoveryURL(), CertificateAuthority: authority}, issuers.KeysConfig{DiscoveryURL: other.DiscoveryURL(), CertificateAuthority: authority}},
		"another certificate authority":   {issuers.KeysConfig{JWKSURL: issuer.KeySetURL(), CertificateAuthority: authority}, issuers.KeysConfig{JWKSURL: issuer.KeySetURL(), CertificateAuthority: append([]byte("\n"), authority...)}},
	} {
		t.Run(name, func(t *testing.T) {
			fetches := 0
			options := issuers.Options{OnFetch: func(string, error) { fetches++ }}
			config := issuers.Config{Name: "main", URL: issuerURL, Audiences: []string{"cluster"}, Keys: test.before}
			before := newSet(t, config)
			config.Keys = test.after
			after, err := issuers.NewSet([]issuers.Config{config}, before, options)
			if err != nil {
				t.Fatal(err)
			}
			after.AwaitFirstFetch(t.Context())
			after.Close(before) // waits for the fetches, if any
			if fetches != 1 {
				t.Errorf("expected the keys to be fetched from there, got %d fetches", fetches)
			}
		})
	}
}
