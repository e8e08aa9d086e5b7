package tokenreview_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

// recorded are the lines of the audit log, which is closed, without the fields that
// differ each time; these must be there.
func (s *audited) recorded(t *testing.T) []map[string]any {
	t.Helper()
	s.closeAudit(t)
	var records []map[string]any
	for line := range bytes.Lines(s.lines.Bytes()) {
		var record map[string]any
		if err := json.Unmarshal(line, &record); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		for _, name := range []string{"time", "requestID", "fingerprint", "duration", "schema", "cached"} {
			if _, ok := record[name]; !ok {
				t.Errorf("no %s in %s", name, line)
			}
			delete(record, name)
		}
		records = append(records, record)
	}
	return records
}

type record = map[string]any

func TestWhatIsRecordedOfADecision(t *testing.T) {
	s := startAudited(t, "", ", audit: {claims: [team, missing, long, nested]}")
	stranger := issuertest.NewKey("stranger", "RS256")
	apiserver, auditor := s.apiserver(t), s.auditor(t)
	byAPIServer := record{"commonName": "kube-apiserver", "address": "192.0.2.1:1234"}
	byAuditor := record{"commonName": "auditor", "organizations": []any{"staff", "tokenreview:auditors"}, "address": "192.0.2.1:1234"}
	nested := claims{"a": []any{1.5, true, nil}}
	s.ask(apiserver, "/authenticate", s.sign(claims{"long": strings.Repeat("x", 2000), "nested": nested}))
	s.ask(auditor, "/tokenreview", s.sign(claims{"aud": "elsewhere"}))
	s.ask(apiserver, "/authenticate", s.sign(claims{"exp": time.Now().Add(-time.Hour).Unix(), "jti": 7, "team": nil}))
	// Of tokens that anybody may have made up nothing is recorded that they say.
	s.ask(apiserver, "/authenticate", stranger.Sign(claims{"iss": s.issuer.URL, "sub": "root", "jti": "x", "team": "red"}))
	s.ask(apiserver, "/authenticate", "opaque")
	got := s.recorded(t)
	message := got[2]["message"]
	if text, _ := message.(string); !strings.HasPrefix(text, "the token expired") {
		t.Errorf("got %q", text)
	}
	delete(got[2], "message")
	want := []record{
		{"endpoint": "/authenticate", "caller": byAPIServer, "issuer": "main", "proven": true, "reason": "Allowed", "jti": "id-1", "sub": "jane",
			"claims": record{"team": "red", "long": "left out: 2002 bytes", "nested": record{"a": []any{1.5, true, nil}}}, "username": "oidc:jane", "groups": []any{"devs"}},
		{"endpoint": "/tokenreview", "caller": byAuditor, "issuer": "main", "proven": true, "reason": "AudienceMismatch",
			"message": `expected an aud among ["cluster" "second"], got ["elsewhere"]`, "jti": "id-1", "sub": "jane", "claims": record{"team": "red"}},
		{"endpoint": "/authenticate", "caller": byAPIServer, "issuer": "main", "proven": true, "reason": "Expired", "sub": "jane"},
		{"endpoint": "/authenticate", "caller": byAPIServer, "issuer": "main", "proven": false, "reason": "KeyUnknown", "message": `the issuer publishes no usable key with kid "stranger"`},
		{"endpoint": "/authenticate", "caller": byAPIServer, "proven": false, "reason": "TokenMalformed", "message": "the token is not a JWT"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestADecisionThatIsUsedAgainIsRecordedEachTime(t *testing.T) {
	s := startAudited(t, "", ", audit: {claims: [team]}")
	registry := prometheus.NewRegistry()
	s.handler = tokenreview.NewHandler(s.reviewer, tokenreview.Options{Audit: s.audit, Metrics: tokenreview.NewMetrics(registry), Log: slog.New(slog.DiscardHandler)})
	accepted, refused := s.sign(nil), s.sign(claims{"aud": "elsewhere"})
	var answers []string
	for _, token := range []string{accepted, refused, accepted, refused, accepted, refused} {
		answers = append(answers, s.ask(s.apiserver(t), "/authenticate", token).Body.String())
	}
	if answers[2] != answers[0] || answers[3] != answers[1] || answers[4] != answers[0] || answers[5] != answers[1] {
		t.Errorf("expected the same answers, got %q", answers)
	}
	expected := `# HELP tokenreview_cached_decisions Decisions that are remembered, whether or not they still hold.
# TYPE tokenreview_cached_decisions gauge
tokenreview_cached_decisions{outcome="allowed"} 1
tokenreview_cached_decisions{outcome="refused"} 1
# HELP tokenreview_cached_reviews_total Reviews that used a decision which was made for another request about the same token.
# TYPE tokenreview_cached_reviews_total counter
tokenreview_cached_reviews_total{issuer="main"} 4
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(expected), "tokenreview_cached_decisions", "tokenreview_cached_reviews_total"); err != nil {
		t.Error(err)
	}
	s.closeAudit(t)
	var lines []record
	for line := range bytes.Lines(s.lines.Bytes()) {
		var one record
		if err := json.Unmarshal(line, &one); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"time", "requestID", "duration"} {
			delete(one, name)
		}
		lines = append(lines, one)
	}
	if len(lines) != 6 {
		t.Fatalf("expected six lines, got %v", lines)
	}
	for i, again := range lines[2:] {
		first := lines[i%2]
		if first["cached"] != false || again["cached"] != true {
			t.Errorf("expected all but the first to be cached, got %v and %v", first, again)
		}
		again["cached"] = false
		if diff := cmp.Diff(first, again); diff != "" {
			t.Errorf("expected nothing else to differ (-first +again)\n%s", diff)
		}
	}
}

func TestALevelIsForOneIssuerOrForAllThatHaveNone(t *testing.T) {
	for _, test := range []struct{ name, spec, policy, want string }{
		{"everything by default", "", "", "Allowed TokenMalformed AudienceMismatch"},
		{"refusals of all", "audit: {level: Refusals}", "", "TokenMalformed AudienceMismatch"},
		{"all of one issuer, and none else", "audit: {level: None}", ", audit: {level: All}", "Allowed AudienceMismatch"},
		{"none of one issuer", "", ", audit: {level: None}", "TokenMalformed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := startAudited(t, test.spec, test.policy)
			for _, token := range []string{s.sign(nil), "opaque", s.sign(claims{"aud": "elsewhere"})} {
				s.ask(s.apiserver(t), "/authenticate", token)
			}
			var reasons []string
			for _, record := range s.recorded(t) {
				reasons = append(reasons, record["reason"].(string))
			}
			if got := strings.Join(reasons, " "); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestExemplarsCarryTheRequestID(t *testing.T) {
	registry, s := countedBy(t)
	id := s.post("application/json", review("authentication.k8s.io/v1", "opaque")).Header().Get("X-Request-Id")
	expectExemplars(t, registry, id)
}

func TestOneRequestInASecondIsAnExemplar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, s := countedBy(t)
		post := func() string {
			return s.post("application/json", review("authentication.k8s.io/v1", "opaque")).Header().Get("X-Request-Id")
		}
		first := post()
		post()
		expectExemplars(t, registry, first)
		time.Sleep(time.Second) // of the bubble's clock
		expectExemplars(t, registry, post())
	})
}

// expectExemplars wants an exemplar of each count to carry the id of a request.
func expectExemplars(t *testing.T, registry *prometheus.Registry, id string) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if exemplar := metric.GetCounter().GetExemplar(); exemplar != nil {
				found[family.GetName()] = exemplar.GetLabel()[0].GetName() + "=" + exemplar.GetLabel()[0].GetValue()
			}
			for _, bucket := range metric.GetHistogram().GetBucket() {
				if exemplar := bucket.GetExemplar(); exemplar != nil {
					found[family.GetName()] = exemplar.GetLabel()[0].GetName() + "=" + exemplar.GetLabel()[0].GetValue()
				}
			}
			if histogram := metric.GetHistogram(); histogram != nil && (histogram.GetSchema() == 0 || len(histogram.GetPositiveSpan()) == 0 && histogram.GetZeroCount() == 0) {
				t.Errorf("%s is no native histogram", family.GetName())
			}
		}
	}
	if diff := cmp.Diff(map[string]string{"tokenreview_reviews_total": "request_id=" + id, "tokenreview_decision_duration_seconds": "request_id=" + id}, found); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
