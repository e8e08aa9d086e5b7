package tokenreview_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

// serveIssuer serves reviews by a policy for an issuer that is known by its URL.
func serveIssuer(t *testing.T, url, mappings, policy string) *served {
	t.Helper()
	issuer := issuertest.Start(url)
	t.Cleanup(issuer.Close)
	reviewer, _ := newReviewer(t, []byte(string(authentication(issuer, "claimMappings:\n"+mappings))+`---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: main}
spec:
  issuer: `+url+"\n"+indent(policy)))
	return &served{issuer: issuer, handler: tokenreview.NewHandler(reviewer, tokenreview.Options{Log: slog.New(slog.DiscardHandler)})}
}

// status is what a token is answered over HTTP.
func (s *served) status(t *testing.T, token string) authenticationv1.TokenReviewStatus {
	t.Helper()
	response := s.post("application/json", review("authentication.k8s.io/v1", token))
	var got authenticationv1.TokenReview
	if err := json.Unmarshal(response.Body.Bytes(), &got); err != nil || response.Code != http.StatusOK {
		t.Fatalf("expected a TokenReview, got %d %q", response.Code, response.Body)
	}
	return got.Status
}

// What GitHub puts into sub depends on when the repository was made, and on its owner.
// The allow-list decides alike, wherever GitHub is.
func TestGitHubIssuersAndSubjectsDecideAlike(t *testing.T) {
	for _, url := range []string{
		"https://token.actions.githubusercontent.com",
		"https://token.actions.githubusercontent.com/octo-enterprise",
		"https://github.example.com/_services/token",
		"https://token.actions.octocorp.ghe.com",
	} {
		s := serveIssuer(t, url, "  username: {claim: sub, prefix: 'gh:'}\n", `
githubActions:
  allow:
  - {repository: octo-org/shop, repositoryID: "74", ownerID: "65", refs: [refs/heads/main], events: [push], groups: [deployers]}
`)
		for _, subject := range []string{
			"repo:octo-org/shop:ref:refs/heads/main",
			"repo:octo-org@65/shop@74:ref:refs/heads/main",
			"repository_owner:octo-org:environment:production",
		} {
			for _, test := range []struct {
				name   string
				claims claims
				text   string // of a refusal
			}{
				{"the repository", claims{}, ""},
				{"another branch", claims{"ref": "refs/heads/dev"}, `not the ref "refs/heads/dev"`},
				{"another repository of the name", claims{"repository_id": "75"}, "the name has been given to another repository"},
				{"another owner of the name", claims{"repository_owner_id": "66"}, "the name has been given to another owner"},
				{"a stranger", claims{"repository": "mallory/shop", "repository_id": "6", "repository_owner": "mallory", "repository_owner_id": "7"}, "no rule of githubActions.allow admits this token of mallory/shop"},
			} {
				t.Run(url+"/"+subject+"/"+test.name, func(t *testing.T) {
					status := s.status(t, s.sign(claims{
						"sub": subject, "repository": "octo-org/shop", "repository_id": "74", "repository_owner": "octo-org", "repository_owner_id": "65",
						"ref": "refs/heads/main", "event_name": "push", "jti": nil,
					}.With(test.claims)))
					if test.text != "" {
						if status.Authenticated || !strings.Contains(status.Error, test.text) || !strings.HasSuffix(status.Error, "(RepositoryNotAllowed)") {
							t.Errorf("expected a refusal with %q, got %+v", test.text, status)
						}
						return
					}
					want := authenticationv1.UserInfo{Username: "gh:" + subject, Groups: []string{"deployers"}}
					if diff := cmp.Diff(want, status.User); diff != "" || !status.Authenticated {
						t.Errorf("%s; expected -, got +\n%s", status.Error, diff)
					}
				})
			}
		}
	}
}

// Every national cloud has issuers of its own, of v1 and of v2.
func TestEntraIssuersOfEveryCloudDecideAlike(t *testing.T) {
	const (
		tenant = "de5169f1-9a13-45fe-a4cf-07feee258b7f"
		other  = "11111111-1111-1111-1111-111111111111"
		client = "80faf920-1908-4b52-b5ef-a8e7bedfc67a"
		person = "0c6b2e4e-53c5-4f0a-9d5e-6a1f3f6f8f0b"
	)
	for url, clientClaim := range map[string]string{
		"https://login.microsoftonline.com/" + tenant + "/v2.0":        "azp",
		"https://login.microsoftonline.us/" + tenant + "/v2.0":         "azp",
		"https://login.partner.microsoftonline.cn/" + tenant + "/v2.0": "azp",
		"https://sts.windows.net/" + tenant + "/":                      "appid",
		"https://sts.chinacloudapi.cn/" + tenant + "/":                 "appid",
	} {
		s := serveIssuer(t, url, "  username: {claim: oid, prefix: 'entra:'}\n  groups: {claim: groups, prefix: 'entra:'}\n",
			"entra:\n  tenantIDs: ["+tenant+"]\n  clientIDs: ["+client+"]\n")
		for _, test := range []struct {
			name   string
			claims claims
			code   reason.Code
			text   string
		}{
			{"a person", claims{}, "", ""},
			{"another tenant's", claims{"tid": other}, reason.TenantNotAllowed, "and iss is the tenant " + tenant},
			{"obtained by another application", claims{clientClaim: other}, reason.ClientNotAllowed, "(" + clientClaim + ")"},
			{"an application's", claims{"sub": person, "scp": nil}, reason.AppOnlyToken, "oid is sub"},
			{"an application's, by its type", claims{"idtyp": "app"}, reason.AppOnlyToken, `idtyp is "app"`},
			{"of too many groups, by _claim_names", claims{"groups": nil, "_claim_names": claims{"groups": "src1"}, "_claim_sources": claims{"src1": claims{"endpoint": "https://graph.windows.net/x"}}},
				reason.GroupOverage, "entra.groupOverage: Resolve"},
			{"of too many groups, by hasgroups", claims{"groups": nil, "hasgroups": true}, reason.GroupOverage, "entra.groupOverage: Resolve"},
			{"of too many groups, by a source in the place of the groups", claims{"groups": "src1", "_claim_sources": claims{"src1": claims{"endpoint": "https://graph.windows.net/x"}}},
				reason.GroupOverage, "entra.groupOverage: Resolve"},
		} {
			t.Run(url+"/"+test.name, func(t *testing.T) {
				status := s.status(t, s.sign(claims{
					"sub": "pairwise", "oid": person, "tid": tenant, clientClaim: client, "scp": "user.read", "groups": []string{"g1"}, "jti": nil,
				}.With(test.claims)))
				if test.code != "" {
					if status.Authenticated || !strings.Contains(status.Error, test.text) || !strings.HasSuffix(status.Error, "("+string(test.code)+")") {
						t.Errorf("expected %s with %q, got %+v", test.code, test.text, status)
					}
					return
				}
				want := authenticationv1.UserInfo{Username: "entra:" + person, Groups: []string{"entra:g1"}}
				if diff := cmp.Diff(want, status.User); diff != "" || !status.Authenticated {
					t.Errorf("%s; expected -, got +\n%s", status.Error, diff)
				}
			})
		}
	}
}
