package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tokenreview.dev/webhook/e2e/cluster"
	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/tokenreview"
	"tokenreview.dev/webhook/pkg/trace"
)

// A workflow says Unauthorized and nothing else. Whoever has its token and an auditor's
// certificate learns what the API server was told, by which rule, and when it asked.
func TestAnAuditorIsToldWhyTheAPIServerRefusedAToken(t *testing.T) {
	t.Parallel()
	cases := startAcceptance(t)
	server := cluster.Start(t, binaries, cluster.Options{WebhookKubeconfig: cases.webhook.Kubeconfig, WebhookVersion: "v1"})
	c, refused := cases.token(t, "a-github-actions-allow", "a run on a branch")
	signed := cases.issuers.Sign(c, refused)
	wantRefusal(t, server, signed, c.IssuerName, refused.Refusal)

	const path = "/tokenreview?explain=true"
	answer := cases.webhook.Caller(t, cluster.AuditorPair).Ask(t, path, signed)
	review := answer.TokenReview(t)
	annotations := review.Annotations
	t.Logf("the auditor is told %s", answer.Body)
	for name, want := range map[string]string{
		tokenreview.AnnotationReason:    string(reason.RepositoryNotAllowed),
		tokenreview.AnnotationIssuer:    c.IssuerName,
		tokenreview.AnnotationRequestID: answer.RequestID,
	} {
		if got := annotations[name]; got != want || got == "" {
			t.Errorf("expected the annotation %s: %q, got %q", name, want, got)
		}
	}
	message := annotations[tokenreview.AnnotationMessage]
	for _, want := range []string{"allow[0]", `not the ref "refs/heads/feature"`} {
		if !strings.Contains(message, want) {
			t.Errorf("expected the nearest rule and the field that fails (%s), got %q", want, message)
		}
	}
	if want := c.IssuerName + ": " + message + " (" + string(reason.RepositoryNotAllowed) + ")"; review.Status.Error != want {
		t.Errorf("expected status.error %q, got %q", want, review.Status.Error)
	}
	steps := fromJSON[[]trace.Step](t, annotations[tokenreview.AnnotationTrace])
	if want := (trace.Step{Check: "githubActions.allow", Outcome: trace.Failed, Detail: message}); steps[len(steps)-1] != want {
		t.Errorf("expected the trace to end with %+v, got %+v", want, steps)
	}
	recent := fromJSON[[]tokenreview.Event](t, annotations[tokenreview.AnnotationRecent])
	for _, event := range recent {
		if event.Endpoint != "/authenticate" || event.Caller != "kube-apiserver" || event.Reason != string(reason.RepositoryNotAllowed) ||
			event.RequestID == "" || time.Since(event.Time) > time.Hour {
			t.Errorf("expected the API server's question, got %+v", event)
		}
	}
	if len(recent) == 0 {
		t.Error("nothing is known of the API server's question")
	}

	t.Run("and of an accepted one who it is", func(t *testing.T) {
		c, accepted := cases.token(t, "a-github-actions-allow", "a deployment from main")
		review := cases.webhook.Caller(t, cluster.AuditorPair).Ask(t, path, cases.issuers.Sign(c, accepted)).TokenReview(t)
		if review.Status.User.Username != accepted.User.Name || review.Annotations[tokenreview.AnnotationReason] != reason.Allowed {
			t.Errorf("the auditor is told %+v", review)
		}
	})
	for _, other := range []struct {
		name, pair string
		code       int32
		text       string
	}{
		{"the API server is not told", cluster.APIServerPair, http.StatusForbidden, "spec.callers.tokenreview"},
		{"nor is anybody without a certificate", cluster.NoPair, http.StatusUnauthorized, "certificate"},
	} {
		t.Run(other.name, func(t *testing.T) {
			answer := cases.webhook.Caller(t, other.pair).Ask(t, path, signed)
			status := fromJSON[metav1.Status](t, string(answer.Body))
			if answer.Code != int(other.code) || status.Code != other.code || status.Kind != "Status" || !strings.Contains(status.Message, other.text) {
				t.Errorf("expected a Status with code %d that says %q, got %d: %s", other.code, other.text, answer.Code, answer.Body)
			}
		})
	}
}

func fromJSON[T any](t *testing.T, text string) (value T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return value
}
