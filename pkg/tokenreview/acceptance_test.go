package tokenreview_test

import (
	"encoding/json"
	"iter"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"tokenreview.dev/webhook/internal/acceptance"
	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/config"
	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

// acceptanceCases starts the issuers of the acceptance cases and makes a reviewer of
// their configurations, all in one.
func acceptanceCases(t *testing.T) ([]acceptance.Case, acceptance.Issuers, *tokenreview.Reviewer, *config.Config) {
	t.Helper()
	cases, err := acceptance.Cases()
	if err != nil {
		t.Fatal(err)
	}
	running := acceptance.StartIssuers(cases)
	t.Cleanup(running.Close)
	data, err := acceptance.Configuration(cases, running)
	if err != nil {
		t.Fatal(err)
	}
	reviewer, loaded := newReviewer(t, data)
	return cases, running, reviewer, loaded
}

// All acceptance cases decide as written, through the HTTP endpoint, and as
// kube-apiserver's own authenticator decides, as far as it has an opinion.
func TestAcceptanceCases(t *testing.T) {
	cases, running, reviewer, loaded := acceptanceCases(t)
	theirs := upstream(t, loaded)
	s := &served{handler: tokenreview.NewHandler(reviewer, tokenreview.Options{Log: slog.New(slog.DiscardHandler)})}
	for _, c := range cases {
		for _, token := range c.Tokens(time.Now()) {
			t.Run(c.Name+"/"+token.Name, func(t *testing.T) {
				signed := running.Sign(c, token)
				compareStatus(t, c, token, s.post("application/json", review("authentication.k8s.io/v1", signed)))
				answer := reviewer.Review(t.Context(), signed, nil, nil)
				if answer.Refusal.Code != token.Refusal.Code || answer.WouldRefuse.Code != token.WouldRefuse || answer.Undecided {
					t.Errorf("expected %q, and %q to be recorded; got %+v", token.Refusal.Code, token.WouldRefuse, answer)
				}
				compareAcceptance(t, c, &answer, theirs, signed)
			})
		}
	}
}

// Whatever an acceptance case comes to is counted under the same word.
func TestAcceptanceCasesAreCountedByTheirReasons(t *testing.T) {
	cases, running, built, _ := acceptanceCases(t)
	registry := prometheus.NewRegistry()
	s := &served{handler: tokenreview.NewHandler(tokenreview.NewReviewer(built.Rules()),
		tokenreview.Options{Metrics: tokenreview.NewMetrics(registry), Log: slog.New(slog.DiscardHandler)})}
	type label struct{ issuer, reason string }
	reviews, would, codes := map[label]float64{}, map[label]float64{}, map[reason.Code]bool{}
	for _, c := range cases {
		for _, token := range c.Tokens(time.Now()) {
			s.post("application/json", review("authentication.k8s.io/v1", running.Sign(c, token)))
			counted := label{c.IssuerName, reason.Allowed}
			switch {
			case token.Refusal.Code == reason.IssuerUnknown:
				counted = label{"-", string(reason.IssuerUnknown)}
			case !token.Accepted():
				counted.reason = string(token.Refusal.Code)
			}
			reviews[counted]++
			codes[token.Refusal.Code] = true
			if token.WouldRefuse != "" {
				would[label{c.IssuerName, string(token.WouldRefuse)}]++
			}
		}
	}
	for _, code := range []reason.Code{
		reason.LifetimeTooLong, reason.EmailNotVerified, reason.RepositoryNotAllowed, reason.TenantNotAllowed, reason.ClientNotAllowed,
		reason.AppOnlyToken, reason.GroupOverage, reason.ServiceAccountNotAllowed, reason.ClaimRuleFailed, reason.UserRuleFailed,
	} {
		if !codes[code] {
			t.Errorf("no acceptance case is about %s", code)
		}
	}
	for metric, want := range map[string]map[label]float64{"tokenreview_reviews_total": reviews, "tokenreview_would_refuse_total": would} {
		got := map[label]float64{}
		for labels, value := range counters(t, registry, metric) {
			got[label{labels["issuer"], labels["reason"]}] = value
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: expected -, got +\n%s", metric, diff)
		}
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("expected metrics as Prometheus wants them, got %v, %v", problems, err)
	}
}

// counters yields the labels and the value of each counter of a metric.
func counters(t *testing.T, registry *prometheus.Registry, metric string) iter.Seq2[map[string]string, float64] {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(map[string]string, float64) bool) {
		for _, family := range families {
			if family.GetName() != metric {
				continue
			}
			for _, one := range family.GetMetric() {
				labels := map[string]string{}
				for _, pair := range one.GetLabel() {
					labels[pair.GetName()] = pair.GetValue()
				}
				if !yield(labels, one.GetCounter().GetValue()) {
					return
				}
			}
		}
	}
}

// compareStatus wants the status of an acceptance case's TokenReview.
func compareStatus(t *testing.T, c acceptance.Case, token acceptance.Token, response *httptest.ResponseRecorder) {
	t.Helper()
	var got authenticationv1.TokenReview
	if err := json.Unmarshal(response.Body.Bytes(), &got); err != nil || response.Code != http.StatusOK {
		t.Fatalf("expected a TokenReview, got %d %q", response.Code, response.Body)
	}
	expected := (&tokenreview.Answer{User: token.User}).Status()
	message := got.Status.Error
	switch prefix, suffix := c.IssuerName+": ", " ("+string(token.Refusal.Code)+")"; {
	case token.Accepted() || token.Refusal.Code == reason.IssuerUnknown:
	case strings.HasPrefix(message, prefix) && strings.Contains(message, token.Refusal.Text) && strings.HasSuffix(message, suffix):
		expected.Error = message
	default:
		expected.Error = prefix + "…" + token.Refusal.Text + "…" + suffix
	}
	if diff := cmp.Diff(expected, got.Status, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("expected -, got +:\n%s", diff)
	}
}

// compareAcceptance compares an acceptance case's answer with upstream's. Upstream
// knows nothing of IssuerPolicies: whom these refuse it lets in, or it looks
// elsewhere for their groups, so that nothing can be compared; and what they add to
// users is left out of the comparison.
func compareAcceptance(t *testing.T, c acceptance.Case, answer *tokenreview.Answer, theirs []authenticator.Token, signed string) {
	t.Helper()
	_, policies, err := c.Authentication()
	if err != nil {
		t.Fatal(err)
	}
	compared := *answer
	if len(policies) > 0 {
		switch answer.Refusal.Code {
		case reason.LifetimeTooLong, reason.EmailNotVerified, reason.RepositoryNotAllowed, reason.TenantNotAllowed,
			reason.ClientNotAllowed, reason.AppOnlyToken, reason.GroupOverage, reason.ServiceAccountNotAllowed:
			return
		}
		if answer.User != nil {
			compared.User = withoutAdditions(t, answer.User, theirs, signed)
		}
	}
	compareAnswers(t, &compared, theirs, signed)
}

// withoutAdditions returns a user without what its issuer's policy adds: extras of
// its own, and groups after those of document 1.
func withoutAdditions(t *testing.T, ours *user.DefaultInfo, theirs []authenticator.Token, signed string) *user.DefaultInfo {
	t.Helper()
	without := *ours
	if upstreams, _ := upstreamAnswer(t, theirs, signed); upstreams != nil {
		without.Groups = ours.Groups[:min(len(ours.Groups), len(upstreams.Groups))]
	}
	without.Extra = maps.Clone(ours.Extra)
	maps.DeleteFunc(without.Extra, func(key string, _ []string) bool { return strings.HasPrefix(key, v1alpha1.Group+"/") })
	return &without
}
