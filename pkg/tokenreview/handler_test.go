package tokenreview_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	authenticationv1 "k8s.io/api/authentication/v1"
	authenticationv1beta1 "k8s.io/api/authentication/v1beta1"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/config"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/policy"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

// served is a handler over one issuer named "main", and what it has logged.
type served struct {
	issuer  *issuertest.Issuer
	handler *tokenreview.Handler
	log     *bytes.Buffer
}

func serve(t *testing.T) *served {
	t.Helper()
	issuer := issuertest.Start("https://issuer.example")
	t.Cleanup(issuer.Close)
	return serveFor(t, issuer)
}

func serveFor(t *testing.T, issuer *issuertest.Issuer) *served {
	t.Helper()
	configuration := string(authentication(issuer, `
claimMappings:
  username: {claim: sub, prefix: "oidc:"}
  groups: {claim: groups, prefix: ""}
  uid: {claim: sub}
  extra: [{key: example.com/team, valueExpression: "has(claims.team) ? claims.team : ''"}]
claimValidationRules:
- {claim: hd, requiredValue: example.com}
`)) + `---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: main}
spec: {issuer: "https://issuer.example"}
`
	reviewer, _ := newReviewer(t, []byte(configuration))
	log := &bytes.Buffer{}
	handler := tokenreview.NewHandler(reviewer, tokenreview.Options{Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	return &served{issuer: issuer, handler: handler, log: log}
}

func (s *served) sign(changes claims) string {
	return s.issuer.Sign(claims{
		"aud": []string{"cluster", "extra"}, "sub": "jane", "hd": "example.com", "jti": "id-1",
		"groups": []string{"devs"}, "team": "red", "exp": time.Now().Add(time.Hour).Unix(),
	}.With(changes))
}

func review(apiVersion, token string, audiences ...string) string {
	body, err := json.Marshal(map[string]any{
		"kind": "TokenReview", "apiVersion": apiVersion,
		"spec":   map[string]any{"token": token, "audiences": audiences},
		"status": map[string]any{"user": map[string]any{}},
	})
	if err != nil {
		panic(err)
	}
	return string(body)
}

func (s *served) post(contentType, body string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, "/authenticate?timeout=30s", strings.NewReader(body))
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("X-Request-Id", "?") // The answer has the request's own then.
	recorder := httptest.NewRecorder()
	s.handler.ServeHTTP(recorder, request)
	return recorder
}

func TestAnswers(t *testing.T) {
	s := serve(t)
	stranger := issuertest.NewKey("stranger", "RS256")
	for _, version := range []string{"authentication.k8s.io/v1", "authentication.k8s.io/v1beta1"} {
		for _, test := range []struct {
			name, body, status string
		}{
			{"a token that is allowed", review(version, s.sign(nil)),
				`{"authenticated":true,"user":{"username":"oidc:jane","uid":"jane","groups":["devs"],"extra":{"authentication.kubernetes.io/credential-id":["JTI=id-1"],"example.com/team":["red"]}}}`},
			{"an allowed token for one of the audiences asked about", review(version, s.sign(claims{"jti": nil, "team": nil, "groups": nil}), "elsewhere", "extra"),
				`{"authenticated":true,"user":{"username":"oidc:jane","uid":"jane"},"audiences":["extra"]}`},
			{"an allowed token for none of the audiences asked about", review(version, s.sign(claims{"jti": nil, "team": nil, "groups": nil}), "elsewhere"),
				`{"authenticated":true,"user":{"username":"oidc:jane","uid":"jane"}}`},
			{"a token of ours that is refused", review(version, s.sign(claims{"hd": "evil.com"})),
				`{"user":{},"error":"main: claim \"hd\" is required to be \"example.com\", got \"evil.com\" (ClaimRuleFailed)"}`},
			{"a token that says it is ours", review(version, stranger.Sign(claims{"iss": s.issuer.URL})),
				`{"user":{},"error":"main: the issuer publishes no usable key with kid \"stranger\" (KeyUnknown)"}`},
			{"an opaque token", review(version, "opaque"), `{"user":{}}`},
			{"an empty token", review(version, ""), `{"user":{}}`},
			{"no spec", `{"kind":"TokenReview","apiVersion":"` + version + `"}`, `{"user":{}}`},
			{"a token of an issuer that is not configured", review(version, s.sign(claims{"iss": "https://stranger.example"})), `{"user":{}}`},
			{"members that nobody knows", strings.Replace(review(version, "opaque"), "{", `{"future":[1],`, 1), `{"user":{}}`},
		} {
			t.Run(version+"/"+test.name, func(t *testing.T) {
				answer := s.post("application/json; charset=utf-8", test.body)
				if answer.Code != http.StatusOK {
					t.Fatalf("expected 200, got %d: %s", answer.Code, answer.Body)
				}
				expected := `{"kind":"TokenReview","apiVersion":"` + version + `","metadata":{},"spec":{},"status":` + test.status + `}`
				if diff := cmp.Diff(expected, answer.Body.String()); diff != "" {
					t.Errorf("expected -, got +:\n%s", diff)
				}
				if got := answer.Header().Get("Content-Type"); got != "application/json" {
					t.Errorf("expected application/json, got %q", got)
				}
			})
		}
	}
}

func TestTheZeroAnswerRefuses(t *testing.T) {
	if status := (&tokenreview.Answer{}).Status(); status.Authenticated {
		t.Error("the zero answer is authenticated")
	}
}

func TestKeysThatAreMissingLeaveATokenUndecided(t *testing.T) {
	issuer := issuertest.Start("https://issuer.example")
	t.Cleanup(issuer.Close)
	issuer.Answer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	s := serveFor(t, issuer)
	answer := s.post("application/json", review("authentication.k8s.io/v1", s.sign(nil)))
	var got authenticationv1.TokenReview
	if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if answer.Code != http.StatusOK || got.Status.Authenticated || !strings.HasPrefix(got.Status.Error, "main: no keys yet: ") || !strings.HasSuffix(got.Status.Error, " (KeysUnavailable)") {
		t.Errorf("expected an error with the code KeysUnavailable, got %d %+v", answer.Code, got.Status)
	}
}

func TestWhatIsNoTokenReview(t *testing.T) {
	s := serve(t)
	token := s.sign(nil)
	good := review("authentication.k8s.io/v1", token)
	for _, test := range []struct {
		name, contentType, body string
		code                    int
		message                 string
	}{
		{"a form, as curl sends by default", "application/x-www-form-urlencoded", good, 415, "Content-Type: application/json"},
		{"no content type", "", good, 415, "Content-Type"},
		{"protobuf", "application/vnd.kubernetes.protobuf", good, 415, "Content-Type"},
		{"no body", "application/json", "", 400, "not JSON"},
		{"a truncated body", "application/json", good[:len(good)/2], 400, "not JSON"},
		{"something after the body", "application/json", good + "{}", 400, "not JSON"},
		{"a list", "application/json", "[" + good + "]", 400, "not a TokenReview"},
		{"a token that is a number", "application/json", `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":5}}`, 400, "/spec/token"},
		{"audiences that are text", "application/json", `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"audiences":"a"}}`, 400, "/spec/audiences"},
		{"the token twice", "application/json", `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"a","token":"` + token + `"}}`, 400, "not"},
		{"invalid UTF-8", "application/json", `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"` + "\xff" + `"}}`, 400, "not JSON"},
		{"another kind", "application/json", strings.Replace(good, "TokenReview", "SubjectAccessReview", 1), 400, `expected kind TokenReview, got "SubjectAccessReview"`},
		{"kind in other case", "application/json", strings.Replace(good, `"kind"`, `"Kind"`, 1), 400, `got ""`},
		{"another version", "application/json", strings.Replace(good, "/v1", "/v2", 1), 400, `authentication.k8s.io/v1 or authentication.k8s.io/v1beta1, got "authentication.k8s.io/v2"`},
		{"a body beyond the limit", "application/json", review("authentication.k8s.io/v1", strings.Repeat("a", 3*issuers.MaxTokenBytes)), 413, "larger than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer := s.post(test.contentType, test.body)
			if answer.Code != test.code || !strings.Contains(answer.Body.String(), strings.ReplaceAll(test.message, `"`, `\"`)) {
				t.Errorf("expected %d with %q, got %d: %s", test.code, test.message, answer.Code, answer.Body)
			}
			var status struct{ Kind, Status string }
			if err := json.Unmarshal(answer.Body.Bytes(), &status); err != nil || status.Kind != "Status" || status.Status != "Failure" {
				t.Errorf("expected a Kubernetes Status, got %s", answer.Body)
			}
			if strings.Contains(answer.Body.String(), token[:30]) {
				t.Error("the answer echoes the token")
			}
		})
	}
	t.Run("a body beyond the limit that does not say its size", func(t *testing.T) {
		request := httptest.NewRequest(http.MethodPost, "/authenticate", io.MultiReader(strings.NewReader(`{"x":"`), strings.NewReader(strings.Repeat("a", 3*issuers.MaxTokenBytes))))
		request.Header.Set("Content-Type", "application/json")
		recorder := httptest.NewRecorder()
		s.handler.ServeHTTP(recorder, request)
		if recorder.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("expected 413, got %d", recorder.Code)
		}
	})
}

// The longest token whose every byte is escaped, as JSON allows, still fits.
func TestTheLongestTokenIsRead(t *testing.T) {
	s := serve(t)
	answer := s.post("application/json", review("authentication.k8s.io/v1", strings.Repeat(`"`, issuers.MaxTokenBytes)))
	if answer.Code != http.StatusOK {
		t.Errorf("expected 200, got %d: %s", answer.Code, answer.Body)
	}
}

func TestNothingOfATokenIsLoggedOrAnswered(t *testing.T) {
	s := serve(t)
	good := s.sign(nil)
	header, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	for _, token := range []string{
		good, good[:len(good)-5], s.sign(claims{"hd": "evil.com"}), s.sign(claims{"exp": 1}), "secret-opaque-token-0123456789",
		header + "." + payload + "." + strings.Repeat("A", 342), "%%%." + payload + "." + signature, good + "\n",
	} {
		for _, body := range []string{review("authentication.k8s.io/v1", token), review("authentication.k8s.io/v1", token)[1:], review("v9", token)} {
			answer := s.post("application/json", body).Body.String()
			for _, secret := range []string{payload, signature, token} {
				if strings.Contains(answer, secret) || strings.Contains(s.log.String(), secret) {
					t.Fatalf("part of the token is answered or logged:\n%s\n%s", answer, s.log)
				}
			}
		}
	}
	if !strings.Contains(s.log.String(), "ClaimRuleFailed") {
		t.Errorf("expected refusals to be logged, got:\n%s", s.log)
	}
}

func TestWhatStrangersCauseIsLoggedAtDebugOnly(t *testing.T) {
	s := serve(t)
	for _, test := range []struct{ name, token, level string }{
		{"an opaque token", "opaque", "DEBUG"},
		{"a forged token", issuertest.NewKey("stranger", "RS256").Sign(claims{"iss": s.issuer.URL}), "DEBUG"},
		{"an accepted token", s.sign(nil), "DEBUG"},
		{"a proven token that is refused", s.sign(claims{"hd": "evil.com"}), "INFO"},
		{"a proven token that has expired", s.sign(claims{"exp": 1}), "INFO"},
		{"a proven token for somebody else", s.sign(claims{"aud": "elsewhere"}), "INFO"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.log.Reset()
			s.post("application/json", review("authentication.k8s.io/v1", test.token))
			if !strings.Contains(s.log.String(), "level="+test.level) {
				t.Errorf("expected level %s, got %s", test.level, s.log)
			}
		})
	}
}

func TestARefusedTokenThatIsSentAgainAndAgainDoesNotFloodTheLog(t *testing.T) {
	s := serve(t)
	body := review("authentication.k8s.io/v1", s.sign(claims{"hd": "evil.com"}))
	const sent = 2000
	for range sent {
		s.post("application/json", body)
	}
	if lines := strings.Count(s.log.String(), "\n"); lines < 100 || lines >= sent {
		t.Errorf("expected a hundred lines at first and not each of %d refusals, got %d", sent, lines)
	}
}

// The answer is made of v1's types and labelled with the version of the request.
func TestV1beta1IsSpelledLikeV1(t *testing.T) {
	fields := func(object any) string {
		var names []string
		var walk func(prefix string, t reflect.Type)
		walk = func(prefix string, t reflect.Type) {
			if t.Kind() != reflect.Struct || t.PkgPath() == reflect.TypeOf(time.Time{}).PkgPath() {
				return
			}
			for i := range t.NumField() {
				name := prefix + "." + t.Field(i).Tag.Get("json")
				names = append(names, name)
				walk(name, t.Field(i).Type)
			}
		}
		walk("", reflect.TypeOf(object))
		return strings.Join(names, "\n")
	}
	if diff := cmp.Diff(fields(authenticationv1.TokenReviewStatus{}), fields(authenticationv1beta1.TokenReviewStatus{})); diff != "" {
		t.Errorf("v1 -, v1beta1 +:\n%s", diff)
	}
}

func TestAReviewIsMadeAgainIfTheRulesChangeWhileItWaits(t *testing.T) {
	old := issuertest.Start("https://issuer.example")
	t.Cleanup(old.Close)
	configuration := func(issuer *issuertest.Issuer) *config.Config {
		loaded, err := config.Parse("test.yaml", authentication(issuer, "claimMappings:\n  username: {claim: sub, prefix: ''}\n"))
		if err != nil {
			t.Fatal(err)
		}
		return loaded
	}
	var ahead atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	before, err := configuration(old).Build(nil, config.Options{Options: issuers.Options{Now: clock}})
	if err != nil {
		t.Fatal(err)
	}
	before.Issuers.AwaitFirstFetch(t.Context())
	reviewer := tokenreview.NewReviewer(before)

	moved := issuertest.Start("https://issuer.example")
	t.Cleanup(moved.Close)
	moved.SetKeys(issuertest.NewKey("moved", "RS256"))
	next, _ := newReviewer(t, authentication(moved, "claimMappings:\n  username: {claim: sub, prefix: ''}\n"))

	// The token's key is unknown to the old rules; they ask their issuer, which hangs.
	ahead.Store(int64(time.Minute))
	asked := make(chan struct{})
	old.Answer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))
	answers := make(chan tokenreview.Answer)
	go func() {
		token := moved.Sign(claims{"aud": "cluster", "sub": "jane", "exp": time.Now().Add(time.Hour).Unix()})
		answers <- reviewer.Review(context.Background(), token, nil, nil)
	}()
	<-asked
	reviewer.Use(next.Rules())
	before.Issuers.Close(next.Rules().Issuers)
	if answer := <-answers; answer.User == nil {
		t.Errorf("expected the new rules to accept the token, got %q", answer.Refusal)
	}
}

// intermediate makes a CA that ca has signed; end is when it ends, from now.

// panicking is a body that panics when it is read.

type panicking struct{ with any }

func (p panicking) Read([]byte) (int, error) { panic(p.with) }

func TestAPanicIsAnInternalErrorThatTellsNothingOfTheRequest(t *testing.T) {
	s := serve(t)
	post := func(with any) *httptest.ResponseRecorder {
		request := httptest.NewRequest(http.MethodPost, "/authenticate", panicking{with})
		request.Header.Set("Content-Type", "application/json")
		recorder := httptest.NewRecorder()
		s.handler.ServeHTTP(recorder, request)
		return recorder
	}
	answer := post("SECRET")
	if answer.Code != http.StatusInternalServerError || !strings.Contains(answer.Body.String(), `"reason":"InternalError"`) {
		t.Errorf("expected a Status 500, got %d: %s", answer.Code, answer.Body)
	}
	if log := s.log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "type=string stack=") {
		t.Errorf("expected the panic to be logged, got %s", log)
	}
	if strings.Contains(answer.Body.String()+s.log.String(), "SECRET") {
		t.Errorf("the panic's value is answered or logged:\n%s\n%s", answer.Body, s.log)
	}
	defer func() {
		if p, _ := recover().(error); !errors.Is(p, http.ErrAbortHandler) {
			t.Errorf("expected http.ErrAbortHandler to go on, got %v", p)
		}
	}()
	post(http.ErrAbortHandler)
}

// A caller that says so itself is told before it sends the body.

func TestABodyThatSaysItIsBeyondTheLimitIsNotRead(t *testing.T) {
	s := serve(t)
	request := httptest.NewRequest(http.MethodPost, "/authenticate", panicking{"read"})
	request.Header.Set("Content-Type", "application/json")
	request.ContentLength = 1 << 20
	recorder := httptest.NewRecorder()
	s.handler.ServeHTTP(recorder, request)
	if recorder.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("expected 413, got %d", recorder.Code)
	}
}

func TestWhatIsLoggedOfAReview(t *testing.T) {
	s := serve(t)
	for _, test := range []struct{ name, token, line string }{
		{"an accepted token", s.sign(nil), "level=DEBUG msg=\"token reviewed\" issuer=main reason=Allowed username=oidc:jane sub=jane jti=id-1 request_id="},
		{"a proven token that is refused", s.sign(claims{"hd": "evil.com"}), "level=INFO msg=\"token reviewed\" issuer=main reason=ClaimRuleFailed text="},
		{"an opaque token", "opaque", "level=DEBUG msg=\"token reviewed\" issuer=\"\" reason=TokenMalformed text=\"the token is not a JWT\" request_id="},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.log.Reset()
			s.post("application/json", review("authentication.k8s.io/v1", test.token))
			if !strings.Contains(s.log.String(), test.line) {
				t.Errorf("expected %q, got %s", test.line, s.log)
			}
		})
	}
}

func TestAnswersAreNotCachedAndSayTheirLengthAndTheMethod(t *testing.T) {
	s := serve(t)
	answer := s.post("application/json", review("authentication.k8s.io/v1", "opaque"))
	notAllowed := httptest.NewRecorder()
	s.handler.ServeHTTP(notAllowed, httptest.NewRequest(http.MethodGet, "/authenticate", nil))
	for _, test := range []struct {
		answer      *httptest.ResponseRecorder
		name, value string
	}{
		{answer, "Cache-Control", "no-store"},
		{answer, "Content-Length", strconv.Itoa(answer.Body.Len())},
		{notAllowed, "Cache-Control", "no-store"},
		{notAllowed, "Allow", "POST"},
	} {
		if got := test.answer.Header().Get(test.name); got != test.value {
			t.Errorf("expected %s: %s, got %q", test.name, test.value, got)
		}
	}
}

// countedBy serves no issuer, and counts reviews.
func countedBy(t *testing.T) (*prometheus.Registry, *served) {
	t.Helper()
	registry := prometheus.NewRegistry()
	set, err := issuers.NewSet(nil, nil, issuers.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return registry, &served{handler: tokenreview.NewHandler(tokenreview.NewReviewer(&tokenreview.Rules{Issuers: set, Policies: map[string]*policy.Policy{}}),
		tokenreview.Options{Metrics: tokenreview.NewMetrics(registry), Log: slog.New(slog.DiscardHandler)})}
}

func TestReviewsAreCounted(t *testing.T) {
	registry, s := countedBy(t)
	s.post("application/json", review("authentication.k8s.io/v1", "opaque"))
	if err := testutil.GatherAndCompare(registry, strings.NewReader(`# HELP tokenreview_reviews_total Reviews by issuer ("-" for tokens of no configured issuer) and reason ("Allowed" for accepted tokens).
# TYPE tokenreview_reviews_total counter
tokenreview_reviews_total{issuer="-",reason="TokenMalformed"} 1
`), "tokenreview_reviews_total"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(registry, "tokenreview_decision_duration_seconds"); err != nil || n != 1 {
		t.Errorf("expected the duration to be observed, got %d, %v", n, err)
	}
}

func TestWhatAPolicyWouldRefuseIsLoggedAndCounted(t *testing.T) {
	issuer := issuertest.Start("https://issuer.example")
	t.Cleanup(issuer.Close)
	built, _ := newReviewer(t, []byte(string(authentication(issuer, "claimMappings:\n  username: {claim: sub, prefix: 'oidc:'}\n"))+`---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: main}
spec: {issuer: "https://issuer.example", enforcement: Audit, token: {maxLifetime: 2h}}
`))
	registry := prometheus.NewRegistry()
	var log bytes.Buffer
	handler := tokenreview.NewHandler(tokenreview.NewReviewer(built.Rules()), tokenreview.Options{
		Metrics: tokenreview.NewMetrics(registry), Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	s := &served{issuer: issuer, handler: handler, log: &log}
	const would = ` would_refuse=LifetimeTooLong would_refuse_text="the token does not say when it was issued (iat), and token.maxLifetime is 2h0m0s"`
	for _, test := range []struct{ name, token, line string }{
		{"a token that is let in", s.sign(nil), `level=INFO msg="token reviewed" issuer=main reason=Allowed username=oidc:jane` + would + " sub=jane jti=id-1 request_id="},
		{"a token that is refused anyway", s.sign(claims{"sub": nil}), `level=INFO msg="token reviewed" issuer=main reason=MappingFailed text="claimMappings.username: claim \"sub\": the token has no such claim"` + would + " jti=id-1 request_id="},
		{"a token that would not be refused", s.sign(claims{"iat": time.Now().Unix()}), `level=DEBUG msg="token reviewed" issuer=main reason=Allowed username=oidc:jane sub=jane jti=id-1 request_id=`},
	} {
		t.Run(test.name, func(t *testing.T) {
			log.Reset()
			s.post("application/json", review("authentication.k8s.io/v1", test.token))
			if !strings.Contains(log.String(), test.line) {
				t.Errorf("expected %q, got %s", test.line, &log)
			}
		})
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(`# HELP tokenreview_reviews_total Reviews by issuer ("-" for tokens of no configured issuer) and reason ("Allowed" for accepted tokens).
# TYPE tokenreview_reviews_total counter
tokenreview_reviews_total{issuer="main",reason="Allowed"} 2
tokenreview_reviews_total{issuer="main",reason="MappingFailed"} 1
# HELP tokenreview_would_refuse_total Reviews in which a check of an IssuerPolicy would have refused, by the reason, but for its enforcement: Audit or an onFailure setting.
# TYPE tokenreview_would_refuse_total counter
tokenreview_would_refuse_total{issuer="main",reason="LifetimeTooLong"} 2
`), "tokenreview_reviews_total", "tokenreview_would_refuse_total"); err != nil {
		t.Error(err)
	}
}

// away stands for a cluster that cannot be asked.
type away struct{}

func (away) Check(context.Context, string, []string, string) (string, error) {
	return "", errors.New("connection refused")
}

func TestAPolicyThatCannotDecideLeavesATokenUndecided(t *testing.T) {
	issuer := issuertest.Start("https://issuer.example")
	t.Cleanup(issuer.Close)
	built, loaded := newReviewer(t, authentication(issuer, "claimMappings:\n  username: {claim: sub, prefix: 'build:'}\n"))
	main := loaded.Issuers[0]
	main.Policy.Kubernetes = &v1alpha1.Kubernetes{ClusterName: "build", Liveness: v1alpha1.LivenessTokenReview, LivenessOnFailure: v1alpha1.LivenessFailureDeny}
	rules := &tokenreview.Rules{Issuers: built.Rules().Issuers, Policies: map[string]*policy.Policy{
		main.Name: policy.New(policy.Config{Authenticator: main.JWT, Expressions: main.Expressions, Policy: main.Policy, Liveness: away{}}),
	}}
	token := issuer.Sign(claims{
		"aud": "cluster", "exp": time.Now().Add(time.Hour).Unix(), "sub": "system:serviceaccount:ci:deployer",
		"kubernetes.io": claims{"namespace": "ci", "serviceaccount": claims{"name": "deployer", "uid": "u"}},
	})
	answer := tokenreview.NewReviewer(rules).Review(t.Context(), token, []string{"cluster"}, nil)
	if answer.User != nil || !answer.Undecided || !answer.Proven || answer.Issuer != main.Name || answer.Reason() != "LivenessUnavailable" ||
		!strings.Contains(answer.Refusal.Text, "connection refused") {
		t.Errorf("expected no decision for the moment, got %+v", answer)
	}
	if len(answer.Audiences) > 0 {
		t.Errorf("expected no audiences, got %q", answer.Audiences)
	}
}

func TestAnAudienceAskedAboutTwiceIsAnsweredOnce(t *testing.T) {
	s := serve(t)
	answer := s.post("application/json", review("authentication.k8s.io/v1", s.sign(nil), "extra", "extra", "cluster"))
	if !strings.Contains(answer.Body.String(), `"audiences":["extra","cluster"]`) {
		t.Errorf("expected each audience once, got %s", answer.Body)
	}
}

func TestClaimsThatAreMissingLeaveATokenUndecided(t *testing.T) {
	s := serve(t)
	token := s.sign(claims{"groups": nil, "_claim_names": claims{"groups": "src1"}, "_claim_sources": claims{"src1": claims{"endpoint": "https://127.0.0.1:1/groups"}}})
	answer := s.post("application/json", review("authentication.k8s.io/v1", token))
	if answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), `"error":"main: fetch distributed claim: `) || !strings.Contains(answer.Body.String(), "(ClaimsUnavailable)") {
		t.Errorf("expected an error with the code ClaimsUnavailable, got %d: %s", answer.Code, answer.Body)
	}
}

// The router's answers are the same for those who ask it and for those whom it need not
// be asked for.
func TestWhichRequestsReachAnEndpoint(t *testing.T) {
	s := serve(t)
	for _, test := range []struct {
		method, target string
		code           int
		location       string
	}{
		{http.MethodPost, "/authenticate", http.StatusOK, ""},
		{http.MethodPost, "/authenticate?timeout=30s", http.StatusOK, ""},
		{http.MethodPost, "/tokenreview", http.StatusForbidden, ""},
		{http.MethodGet, "/authenticate", http.StatusMethodNotAllowed, ""},
		{http.MethodGet, "/", http.StatusNotFound, ""},
		{http.MethodPost, "/authenticate/", http.StatusNotFound, ""},
		{http.MethodPost, "/authenticate/tokenreview", http.StatusNotFound, ""},
		{http.MethodPost, "//authenticate?a=b", http.StatusMovedPermanently, "/authenticate?a=b"},
		{http.MethodPost, "/x/../authenticate", http.StatusMovedPermanently, "/authenticate"},
	} {
		request := httptest.NewRequest(test.method, "/", strings.NewReader(review("authentication.k8s.io/v1", "opaque")))
		request.Header.Set("Content-Type", "application/json")
		var err error
		if request.URL, err = url.ParseRequestURI(test.target); err != nil {
			t.Fatal(err)
		}
		recorder := httptest.NewRecorder()
		s.handler.ServeHTTP(recorder, request)
		if recorder.Code != test.code || recorder.Header().Get("Location") != test.location {
			t.Errorf("%s %s: expected %d %q, got %d %q", test.method, test.target, test.code, test.location, recorder.Code, recorder.Header().Get("Location"))
		}
	}
}
