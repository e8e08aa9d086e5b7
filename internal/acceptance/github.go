package acceptance

import (
	"time"

	"k8s.io/apiserver/pkg/authentication/user"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/reason"
)

func githubActions() Case {
	const issuer = "https://token.actions.githubusercontent.com"
	claims := func(issued time.Time) issuertest.Claims {
		const (
			sha      = "81ae75f767dd22d31f21ae4cff3460bcffbcea1c"
			workflow = "qjoly/lucca-oidc-poc/.github/workflows/test.yaml@refs/heads/main"
		)
		return valid(issuertest.Claims{
			"actor":                 "qjoly",
			"actor_id":              "82603435",
			"aud":                   "coffee-lucca-poc",
			"base_ref":              "",
			"event_name":            "workflow_dispatch",
			"head_ref":              "",
			"iss":                   issuer,
			"job_workflow_ref":      workflow,
			"job_workflow_sha":      sha,
			"jti":                   "72b5e0be-16a1-46d2-930a-6a184407f2fc",
			"nbf":                   issued.Add(-5 * time.Minute).Unix(),
			"ref":                   "refs/heads/main",
			"ref_protected":         "false",
			"ref_type":              "branch",
			"repository":            "qjoly/lucca-oidc-poc",
			"repository_id":         "1020257999",
			"repository_owner":      "qjoly",
			"repository_owner_id":   "82603435",
			"repository_visibility": "private",
			"run_attempt":           "1",
			"run_id":                "16302845430",
			"run_number":            "2",
			"runner_environment":    "github-hosted",
			"sha":                   sha,
			"sub":                   "repo:qjoly/lucca-oidc-poc:ref:refs/heads/main",
			"workflow":              "K8S OIDC Get Nodes",
			"workflow_ref":          workflow,
			"workflow_sha":          sha,
		}, issued, 6*time.Hour)
	}
	// onRef is who a token becomes that ran for ref of the repository above.
	onRef := func(ref string) *user.DefaultInfo {
		subject := "repo:qjoly/lucca-oidc-poc:ref:" + ref
		return &user.DefaultInfo{
			Name:   "github-actions:" + subject,
			UID:    subject,
			Groups: []string{"qjoly/lucca-oidc-poc"},
			Extra: map[string][]string{
				"authentication.kubernetes.io/credential-id": {"JTI=72b5e0be-16a1-46d2-930a-6a184407f2fc"},
				"github.com/ref":              {ref},
				"github.com/repository":       {"qjoly/lucca-oidc-poc"},
				"github.com/repository_owner": {"qjoly"},
			},
		}
	}
	return Case{
		Letter:  "A",
		Name:    "github-actions",
		Title:   "GitHub Actions",
		Example: "github-actions.yaml",
		Issuer:  issuer,
		Tokens: func(now time.Time) []Token {
			return []Token{{
				Name:   "accepted",
				Title:  "a workflow on the branch main",
				Claims: claims(now),
				User:   onRef("refs/heads/main"),
			}, {
				Name:  "other-branch",
				Title: "a workflow on another branch of the same repository",
				Claims: claims(now).With(issuertest.Claims{
					"ref": "refs/heads/feature",
					"sub": "repo:qjoly/lucca-oidc-poc:ref:refs/heads/feature",
				}),
				User: onRef("refs/heads/feature"),
			}, {
				Name:  "other-repository",
				Title: "a stranger's repository that asked for the right audience",
				Claims: claims(now).With(issuertest.Claims{
					"actor":               "mallory",
					"actor_id":            "666",
					"repository":          "mallory/lucca-oidc-poc",
					"repository_id":       "1020258000",
					"repository_owner":    "mallory",
					"repository_owner_id": "666",
					"sub":                 "repo:mallory/lucca-oidc-poc:ref:refs/heads/main",
				}),
				Refusal: reason.Refusal{Code: reason.ClaimRuleFailed, Text: "repository must be in the allowed list"},
			}, wrongAudience(claims(now)), expired(claims(yesterday(now)))}
		},
	}
}
