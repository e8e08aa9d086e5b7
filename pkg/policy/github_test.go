package policy_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiserver/pkg/apis/apiserver"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/policy"
	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/trace"
)

type githubRule = v1alpha1.GitHubActionsRule

// newGitHubPolicy maps sub and has the rules.
func newGitHubPolicy(rules ...githubRule) *policy.Policy {
	prefix := "gh:"
	return policy.New(policy.Config{
		Authenticator: apiserver.JWTAuthenticator{
			Issuer:        apiserver.Issuer{URL: "https://token.actions.githubusercontent.com", Audiences: []string{"a"}},
			ClaimMappings: apiserver.ClaimMappings{Username: apiserver.PrefixedClaimOrExpression{Claim: "sub", Prefix: &prefix}},
		},
		Policy: v1alpha1.IssuerPolicySpec{GitHubActions: &v1alpha1.GitHubActions{Allow: rules}},
	})
}

// githubClaims are those of a run of qjoly/lucca-oidc-poc on main, with changes; nil
// takes a claim out.
func githubClaims(t testing.TB, changes map[string]any) *issuers.Claims {
	t.Helper()
	claims := map[string]any{
		"sub": "repo:qjoly/lucca-oidc-poc:environment:production", "repository": "qjoly/lucca-oidc-poc", "repository_id": "1020257999",
		"repository_owner": "qjoly", "repository_owner_id": "82603435", "repository_visibility": "private",
		"ref": "refs/heads/main", "environment": "production", "event_name": "workflow_dispatch", "runner_environment": "github-hosted",
		"job_workflow_ref": "qjoly/lucca-oidc-poc/.github/workflows/test.yaml@refs/heads/main",
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := issuers.NewClaims(payload)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func decideGitHub(t testing.TB, p *policy.Policy, changes map[string]any, steps *trace.Trace) policy.Decision {
	t.Helper()
	decision, err := p.Decide(t.Context(), policy.Request{Claims: githubClaims(t, changes)}, steps)
	if err != nil {
		t.Fatal(err)
	}
	if decision.User == nil && decision.Refusal.Code != reason.RepositoryNotAllowed || decision.User != nil && !decision.Refusal.IsZero() {
		t.Fatalf("unexpected decision %+v", decision)
	}
	return decision
}

func TestGitHubFields(t *testing.T) {
	const workflow = "qjoly/lucca-oidc-poc/.github/workflows/test.yaml@refs/heads/main"
	type claims = map[string]any
	for _, test := range []struct {
		name    string
		rule    githubRule
		changes claims
		admits  bool
	}{
		{"the repository", githubRule{Repository: "qjoly/lucca-oidc-poc"}, nil, true},
		{"another repository of the owner", githubRule{Repository: "qjoly/lucca-oidc-poc"}, claims{"repository": "qjoly/lucca-oidc-poc2"}, false},
		{"a repository of that name of another owner", githubRule{Repository: "qjoly/lucca-oidc-poc"}, claims{"repository": "evil/lucca-oidc-poc"}, false},
		{"a repository whose name ends like it", githubRule{Repository: "qjoly/lucca-oidc-poc"}, claims{"repository": "xqjoly/lucca-oidc-poc"}, false},
		{"the repository in another case in the token", githubRule{Repository: "qjoly/lucca-oidc-poc"}, claims{"repository": "QJoly/Lucca-OIDC-POC"}, true},
		{"the repository in another case in the rule", githubRule{Repository: "QJOLY/LUCCA-oidc-poc"}, nil, true},
		{"a repository with a Kelvin sign for a k", githubRule{Repository: "octo/kit"}, claims{"repository": "octo/\u212Ait"}, false},
		{"a repository with a long s for an s", githubRule{Repository: "octo/set"}, claims{"repository": "octo/\u017Fet"}, false},
		{"a rule with a Kelvin sign and a repository with a k", githubRule{Repository: "octo/\u212Ait"}, claims{"repository": "octo/kit"}, false},
		{"a repository that a star is for", githubRule{Repository: "qjoly/lucca-*"}, nil, true},
		{"a repository that a star is for, in another case", githubRule{Repository: "QJoly/LUCCA-*"}, nil, true},
		{"a repository that a star is not for", githubRule{Repository: "qjoly/lucca-*"}, claims{"repository": "qjoly/other"}, false},
		{"any repository of an owner", githubRule{Repository: "qjoly/*"}, nil, true},
		{"a repository of an owner whose name begins like it", githubRule{Repository: "qjoly/*"}, claims{"repository": "qjoly-evil/x"}, false},
		{"any repository of an owner by two stars", githubRule{Repository: "qjoly/**"}, nil, true},
		{"owners by a star", githubRule{Repository: "qj*/lucca-oidc-poc"}, nil, true},
		{"a star for an owner does not reach the name", githubRule{Repository: "qj*poc"}, nil, false},
		{"two stars reach from the owner into the name", githubRule{Repository: "qj**poc"}, nil, true},
		{"a repository without a claim", githubRule{Repository: "qjoly/lucca-oidc-poc"}, claims{"repository": nil}, false},
		{"all repositories of an id, and a token that names none", githubRule{Repository: "**", RepositoryID: "1020257999"}, claims{"repository": nil}, false},
		{"all repositories of an id, and a token that names an empty one", githubRule{Repository: "**", RepositoryID: "1020257999"}, claims{"repository": ""}, false},
		{"a repository that is a list", githubRule{Repository: "qjoly/lucca-oidc-poc"}, claims{"repository": []string{"qjoly/lucca-oidc-poc"}}, false},

		{"the repository's id", githubRule{RepositoryID: "1020257999"}, nil, true},
		{"another repository's id", githubRule{RepositoryID: "1020257999"}, claims{"repository_id": "10202579990"}, false},
		{"the repository's id under another name", githubRule{RepositoryID: "1020257999"}, claims{"repository": "other/renamed", "repository_owner": "other"}, true},
		{"the repository's id as a number", githubRule{RepositoryID: "1020257999"}, claims{"repository_id": 1020257999}, false},
		{"no repository id", githubRule{RepositoryID: "1020257999"}, claims{"repository_id": nil}, false},
		{"an id is no pattern", githubRule{RepositoryID: "102*"}, nil, false},
		{"an id beside a name is no pattern", githubRule{Repository: "qjoly/lucca-oidc-poc", RepositoryID: "102*"}, nil, false},
		{"an owner's id beside a name is no pattern", githubRule{Repository: "qjoly/lucca-oidc-poc", OwnerID: "8*"}, nil, false},
		{"a token that has a pattern for an id", githubRule{RepositoryID: "1020257999"}, claims{"repository_id": "*"}, false},

		{"the owner", githubRule{Owner: "qjoly"}, nil, true},
		{"another owner", githubRule{Owner: "qjoly"}, claims{"repository_owner": "qjoly2"}, false},
		{"the owner in another case", githubRule{Owner: "QJoly"}, claims{"repository_owner": "qjOLY"}, true},
		{"an owner with a long s for an s", githubRule{Owner: "octos"}, claims{"repository_owner": "octo\u017F"}, false},
		{"an owner that a star is for", githubRule{Owner: "qj*"}, nil, true},
		{"an owner that a star is not for", githubRule{Owner: "qj*"}, claims{"repository_owner": "q"}, false},
		{"no owner", githubRule{Owner: "qjoly"}, claims{"repository_owner": nil}, false},
		{"an owner that is null", githubRule{Owner: "qj**"}, claims{"repository_owner": json.RawMessage("null")}, false},
		{"the owner alone says nothing of who acts", githubRule{Owner: "mallory"}, claims{"actor": "mallory"}, false},

		{"the owner's id", githubRule{OwnerID: "82603435"}, nil, true},
		{"another owner's id", githubRule{OwnerID: "82603435"}, claims{"repository_owner_id": "8260343"}, false},
		{"the owner's id as a number", githubRule{OwnerID: "82603435"}, claims{"repository_owner_id": 82603435}, false},
		{"no owner id", githubRule{OwnerID: "82603435"}, claims{"repository_owner_id": nil}, false},
		{"the id of who acts is not the owner's", githubRule{OwnerID: "82603435"}, claims{"repository_owner_id": "1", "actor_id": "82603435"}, false},

		{"the ref", githubRule{Owner: "qjoly", Refs: []string{"refs/heads/main"}}, nil, true},
		{"one of several refs", githubRule{Owner: "qjoly", Refs: []string{"refs/tags/v*", "refs/heads/main"}}, nil, true},
		{"another ref", githubRule{Owner: "qjoly", Refs: []string{"refs/heads/main"}}, claims{"ref": "refs/heads/main2"}, false},
		{"a ref in another case is another", githubRule{Owner: "qjoly", Refs: []string{"refs/heads/main"}}, claims{"ref": "refs/heads/Main"}, false},
		{"a tag that a star is for", githubRule{Owner: "qjoly", Refs: []string{"refs/tags/v*"}}, claims{"ref": "refs/tags/v1.2"}, true},
		{"a tag with a slash that a star is not for", githubRule{Owner: "qjoly", Refs: []string{"refs/tags/v*"}}, claims{"ref": "refs/tags/v1/x"}, false},
		{"a branch that is named like a tag", githubRule{Owner: "qjoly", Refs: []string{"refs/tags/v*"}}, claims{"ref": "refs/heads/refs/tags/v1"}, false},
		{"no ref", githubRule{Owner: "qjoly", Refs: []string{"**"}}, claims{"ref": nil}, false},
		{"an empty ref", githubRule{Owner: "qjoly", Refs: []string{"**"}}, claims{"ref": ""}, false},
		{"a ref that is an object", githubRule{Owner: "qjoly", Refs: []string{"**"}}, claims{"ref": claims{}}, false},
		{"a list of refs with an empty text alone admits nothing", githubRule{Owner: "qjoly", Refs: []string{""}}, nil, false},

		{"the environment", githubRule{Owner: "qjoly", Environments: []string{"production"}}, nil, true},
		{"another environment", githubRule{Owner: "qjoly", Environments: []string{"production"}}, claims{"environment": "staging"}, false},
		{"an environment that a star is for", githubRule{Owner: "qjoly", Environments: []string{"prod*"}}, nil, true},
		{"an environment with a slash", githubRule{Owner: "qjoly", Environments: []string{"prod*"}}, claims{"environment": "prod/eu"}, false},
		{"no environment", githubRule{Owner: "qjoly", Environments: []string{"**"}}, claims{"environment": nil}, false},
		{"the environment in sub does not count", githubRule{Owner: "qjoly", Environments: []string{"production"}}, claims{"environment": nil, "sub": "repo:qjoly/lucca-oidc-poc:environment:production"}, false},

		{"the event", githubRule{Owner: "qjoly", Events: []string{"push", "workflow_dispatch"}}, nil, true},
		{"pull_request_target", githubRule{Owner: "qjoly", Events: []string{"push", "pull_request"}}, claims{"event_name": "pull_request_target"}, false},
		{"an event is no pattern", githubRule{Owner: "qjoly", Events: []string{"*"}}, nil, false},
		{"an event in another case", githubRule{Owner: "qjoly", Events: []string{"Workflow_dispatch"}}, nil, false},
		{"no event", githubRule{Owner: "qjoly", Events: []string{"push"}}, claims{"event_name": nil}, false},

		{"the workflow", githubRule{Owner: "qjoly", Workflows: []string{workflow}}, nil, true},
		{"a workflow of another branch", githubRule{Owner: "qjoly", Workflows: []string{workflow}}, claims{"job_workflow_ref": strings.Replace(workflow, "main", "dev", 1)}, false},
		{"a workflow of another repository", githubRule{Owner: "qjoly", Workflows: []string{workflow}}, claims{"job_workflow_ref": "evil" + workflow}, false},
		{"a workflow that a star is for", githubRule{Owner: "qjoly", Workflows: []string{"qjoly/*/.github/workflows/test.yaml@refs/heads/*"}}, nil, true},
		{"a workflow with a slash in its branch", githubRule{Owner: "qjoly", Workflows: []string{"qjoly/*/.github/workflows/test.yaml@refs/heads/*"}}, claims{"job_workflow_ref": workflow + "/x"}, false},
		{"the caller's workflow does not count", githubRule{Owner: "qjoly", Workflows: []string{workflow}}, claims{"job_workflow_ref": "octo/shared/.github/workflows/x.yaml@v1", "workflow_ref": workflow}, false},
		{"no workflow", githubRule{Owner: "qjoly", Workflows: []string{"**"}}, claims{"job_workflow_ref": nil}, false},

		{"the runner", githubRule{Owner: "qjoly", RunnerEnvironments: []string{"github-hosted"}}, nil, true},
		{"another runner", githubRule{Owner: "qjoly", RunnerEnvironments: []string{"github-hosted"}}, claims{"runner_environment": "self-hosted"}, false},
		{"no runner", githubRule{Owner: "qjoly", RunnerEnvironments: []string{"github-hosted"}}, claims{"runner_environment": nil}, false},

		{"a ref as long as any", githubRule{Owner: "qjoly", Refs: []string{"refs/**"}}, claims{"ref": "refs/" + strings.Repeat("x", 1019)}, true},
		{"a ref that is too long to be GitHub's", githubRule{Owner: "qjoly", Refs: []string{"refs/**"}}, claims{"ref": "refs/" + strings.Repeat("x", 1020)}, false},
		{"an owner that is too long to be GitHub's", githubRule{Owner: "**", OwnerID: "82603435"}, claims{"repository_owner": strings.Repeat("x", 1025)}, false},

		{"the visibility", githubRule{Owner: "qjoly", Visibilities: []string{"internal", "private"}}, nil, true},
		{"another visibility", githubRule{Owner: "qjoly", Visibilities: []string{"internal", "private"}}, claims{"repository_visibility": "public"}, false},
		{"no visibility", githubRule{Owner: "qjoly", Visibilities: []string{"private"}}, claims{"repository_visibility": nil}, false},

		{"name and id", githubRule{Repository: "qjoly/lucca-oidc-poc", RepositoryID: "1020257999"}, nil, true},
		{"the name with another id", githubRule{Repository: "qjoly/lucca-oidc-poc", RepositoryID: "1020257999"}, claims{"repository_id": "5"}, false},
		{"the id with another name", githubRule{Repository: "qjoly/lucca-oidc-poc", RepositoryID: "1020257999"}, claims{"repository": "qjoly/new"}, false},
		{"the name and no id", githubRule{Repository: "qjoly/lucca-oidc-poc", RepositoryID: "1020257999"}, claims{"repository_id": nil}, false},
		{"a star and the repository's id", githubRule{Repository: "qjoly/*", RepositoryID: "1020257999"}, nil, true},
		{"owner and id", githubRule{Owner: "qjoly", OwnerID: "82603435"}, nil, true},
		{"the owner with another id", githubRule{Owner: "qjoly", OwnerID: "82603435"}, claims{"repository_owner_id": "1"}, false},
		{"the owner's repositories and id", githubRule{Repository: "qjoly/*", OwnerID: "82603435"}, nil, true},
		{"the owner's repositories with another id", githubRule{Repository: "qjoly/*", OwnerID: "82603435"}, claims{"repository_owner_id": "1"}, false},
		{"owners by a star and id", githubRule{Repository: "qj*/*", OwnerID: "82603435"}, nil, true},
		{"owners by a star and another id", githubRule{Repository: "qj*/*", OwnerID: "82603435"}, claims{"repository_owner_id": "1"}, false},
		{"a name in the owner's repositories, and the owner", githubRule{Repository: "*/lucca-oidc-poc", Owner: "qjoly"}, nil, true},
		{"a name in the owner's repositories, and another owner", githubRule{Repository: "*/lucca-oidc-poc", Owner: "qjoly"}, claims{"repository": "evil/lucca-oidc-poc", "repository_owner": "evil"}, false},
		{"the owner's repositories in a token without the owner", githubRule{Repository: "qjoly/*"}, claims{"repository_owner": nil}, true},
		{"owner and repository that the token has of two owners", githubRule{Repository: "qjoly/*", Owner: "octo"}, claims{"repository_owner": "octo"}, true},
		{"a rule that says nothing admits nobody", githubRule{Groups: []string{"a"}}, nil, false},
		{"everything", githubRule{Repository: "qjoly/lucca-oidc-poc", RepositoryID: "1020257999", Owner: "qjoly", OwnerID: "82603435",
			Refs: []string{"refs/heads/main"}, Environments: []string{"production"}, Events: []string{"workflow_dispatch"}, Workflows: []string{workflow},
			RunnerEnvironments: []string{"github-hosted"}, Visibilities: []string{"private"}}, nil, true},

		{"an immutable sub", githubRule{Repository: "qjoly/lucca-oidc-poc"}, claims{"sub": "repo:qjoly@82603435/lucca-oidc-poc@1020257999:ref:refs/heads/main"}, true},
		{"the sub of old of another repository", githubRule{Repository: "qjoly/lucca-oidc-poc"}, claims{"repository": "evil/x", "sub": "repo:qjoly/lucca-oidc-poc:ref:refs/heads/main"}, false},
		{"an immutable sub of another repository", githubRule{RepositoryID: "1020257999"}, claims{"repository_id": "5", "sub": "repo:qjoly@82603435/lucca-oidc-poc@1020257999:ref:refs/heads/main"}, false},
		{"a customised sub", githubRule{Repository: "qjoly/lucca-oidc-poc"}, claims{"sub": "job_workflow_ref:octo/shared/.github/workflows/x.yaml@main"}, true},
		{"an enterprise says nothing of the repository", githubRule{Owner: "octo-corp"}, claims{"enterprise": "octo-corp", "enterprise_id": "1"}, false},
		{"a claim in another case is another claim", githubRule{Owner: "qjoly"}, claims{"repository_owner": nil, "Repository_Owner": "qjoly"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			decision := decideGitHub(t, newGitHubPolicy(test.rule), test.changes, nil)
			if admitted := decision.User != nil; admitted != test.admits {
				t.Errorf("expected admitted %t, got %t: %s", test.admits, admitted, decision.Refusal)
			}
		})
	}
}

func TestGitHubRefusals(t *testing.T) {
	rules := []githubRule{
		{Repository: "QJoly/Lucca-oidc-poc", RepositoryID: "1020257999", Refs: []string{"refs/heads/main", "refs/tags/v*"}},
		{Repository: "octo/deploy-*", Events: []string{"push"}, Visibilities: []string{"private"}},
		{Owner: "octo", OwnerID: "7", Environments: []string{"production"}},
		{Repository: "acme/*", RepositoryID: "900"},
		{Repository: "old/site", RepositoryID: "500", OwnerID: "55", Events: []string{"push"}},
		{RepositoryID: "901", Visibilities: []string{"private"}},
		{Repository: "my*/x"},
		{Owner: "wild*", OwnerID: "77"},
	}
	p := newGitHubPolicy(rules...)
	const lucca = "no rule of githubActions.allow admits this token of qjoly/lucca-oidc-poc (repository_id 1020257999, repository_owner_id 82603435): "
	type claims = map[string]any
	of := func(repository, id, ownerID string) claims {
		owner, _, _ := strings.Cut(repository, "/")
		return claims{"repository": repository, "repository_id": id, "repository_owner": owner, "repository_owner_id": ownerID}
	}
	with := func(of claims, name string, value any) claims {
		of[name] = value
		return of
	}
	for _, test := range []struct {
		name    string
		changes claims
		text    string
	}{
		{"a repository of which no rule knows", of("evil/x", "5", "6"),
			`no rule of githubActions.allow admits this token of evil/x (repository_id 5, repository_owner_id 6)`},
		{"a rule that a star's owner does not make near", of("mylord/y", "5", "6"),
			`no rule of githubActions.allow admits this token of mylord/y (repository_id 5, repository_owner_id 6)`},
		{"another ref", claims{"ref": "refs/heads/dev"},
			lucca + `allow[0] admits qjoly/lucca-oidc-poc, but not the ref "refs/heads/dev": it wants one of ["refs/heads/main" "refs/tags/v*"]`},
		{"no ref", claims{"ref": nil},
			lucca + `allow[0] admits qjoly/lucca-oidc-poc, but not a token without text in its claim ref: it wants one of ["refs/heads/main" "refs/tags/v*"]`},
		{"a repository that took the name over", with(of("qjoly/lucca-oidc-poc", "999", "82603435"), "ref", "refs/heads/dev"),
			`no rule of githubActions.allow admits this token of qjoly/lucca-oidc-poc (repository_id 999, repository_owner_id 82603435): ` +
				`allow[0] admits qjoly/lucca-oidc-poc with the repository_id 1020257999, and this token is of a repository of that name with the id 999: either the name has been given to another repository, or the rule has the wrong id`},
		{"a token that does not say its repository's id", claims{"repository_id": nil},
			`no rule of githubActions.allow admits this token of qjoly/lucca-oidc-poc (repository_id none, repository_owner_id 82603435): ` +
				`allow[0] does not admit a token without text in its claim repository_id: it wants "1020257999"`},
		{"an owner that took the name over, and a near run", with(of("octo/deploy-a", "8", "66"), "event_name", "schedule"),
			`no rule of githubActions.allow admits this token of octo/deploy-a (repository_id 8, repository_owner_id 66): ` +
				`allow[2] admits the owner octo with the repository_owner_id 7, and this token is of an owner of that name with the id 66: either the name has been given to another owner, or the rule has the wrong id; ` +
				`allow[1] admits octo/deploy-a, but not the event_name "schedule": it wants one of ["push"]`},
		{"two rules that want other runs", with(with(with(of("octo/deploy-a", "8", "7"), "event_name", "schedule"), "repository_visibility", "public"), "environment", nil),
			`no rule of githubActions.allow admits this token of octo/deploy-a (repository_id 8, repository_owner_id 7): ` +
				`allow[2] admits octo/deploy-a, but not a token without text in its claim environment: it wants one of ["production"]; ` +
				`allow[1] admits octo/deploy-a, but not the event_name "schedule": it wants one of ["push"]`},
		{"another repository of an owner that a rule names", with(of("octo/other", "8", "7"), "environment", "test"),
			`no rule of githubActions.allow admits this token of octo/other (repository_id 8, repository_owner_id 7): ` +
				`allow[2] admits octo/other, but not the environment "test": it wants one of ["production"]; ` +
				`allow[1] does not admit the repository "octo/other": it wants "octo/deploy-*"`},
		{"a repository that was renamed", of("qjoly/new", "1020257999", "82603435"),
			`no rule of githubActions.allow admits this token of qjoly/new (repository_id 1020257999, repository_owner_id 82603435): ` +
				`allow[0] admits the repository_id 1020257999 with the repository "QJoly/Lucca-oidc-poc", and that repository is qjoly/new now: it was renamed or transferred; change the rule if it may still come in`},
		{"a repository that was transferred", of("rival/site", "900", "3"),
			`no rule of githubActions.allow admits this token of rival/site (repository_id 900, repository_owner_id 3): ` +
				`allow[3] admits the repository_id 900 with the repository "acme/*", and that repository is rival/site now: it was renamed or transferred; change the rule if it may still come in`},
		{"an owner that was renamed", of("octo-new/deploy-a", "8", "7"),
			`no rule of githubActions.allow admits this token of octo-new/deploy-a (repository_id 8, repository_owner_id 7): ` +
				`allow[2] admits the repository_owner_id 7 with the repository_owner "octo", and that owner is octo-new now: it was renamed; change the rule if it may still come in`},
		{"an owner that was renamed, of a rule for one repository", of("new/site", "8", "55"),
			`no rule of githubActions.allow admits this token of new/site (repository_id 8, repository_owner_id 55): ` +
				`allow[4] admits the repository_owner_id 55 with the repository_owner "old", and that owner is new now: it was renamed; change the rule if it may still come in`},
		{"another repository of a pinned owner", of("old/else", "8", "55"),
			`no rule of githubActions.allow admits this token of old/else (repository_id 8, repository_owner_id 55): ` +
				`allow[4] does not admit the repository "old/else": it wants "old/site"`},
		{"an owner that a star is not for any more", of("tame/x", "8", "77"),
			`no rule of githubActions.allow admits this token of tame/x (repository_id 8, repository_owner_id 77): ` +
				`allow[7] does not admit the repository_owner "tame": it wants "wild*"`},
		{"a token that does not say its owner's id", with(of("octo/else", "8", ""), "repository_owner_id", nil),
			`no rule of githubActions.allow admits this token of octo/else (repository_id 8, repository_owner_id none): ` +
				`allow[2] does not admit a token without text in its claim repository_owner_id: it wants "7"; ` +
				`allow[1] does not admit the repository "octo/else": it wants "octo/deploy-*"`},
		{"a token that does not say its owner", with(of("octo/else", "8", "9"), "repository_owner", nil),
			`no rule of githubActions.allow admits this token of octo/else (repository_id 8, repository_owner_id 9): ` +
				`allow[2] admits the owner octo with the repository_owner_id 7, and this token is of an owner of that name with the id 9: either the name has been given to another owner, or the rule has the wrong id; ` +
				`allow[1] does not admit the repository "octo/else": it wants "octo/deploy-*"`},
		{"a token that has a pinned id and no name", with(with(of("", "900", "7"), "repository", nil), "repository_owner", nil),
			`no rule of githubActions.allow admits this token of a repository without a name (repository_id 900, repository_owner_id 7): ` +
				`allow[2] does not admit a token without text in its claim repository_owner: it wants "octo"; ` +
				`allow[3] does not admit a token without text in its claim repository: it wants "acme/*"`},
		{"a rule of an id alone", with(of("any/name", "901", "3"), "repository_visibility", "public"),
			`no rule of githubActions.allow admits this token of any/name (repository_id 901, repository_owner_id 3): ` +
				`allow[5] admits any/name, but not the repository_visibility "public": it wants one of ["private"]`},
		{"a token that names no repository", claims{"repository": nil, "repository_owner": nil, "repository_id": "901", "repository_visibility": "public"},
			`no rule of githubActions.allow admits this token of a repository without a name (repository_id 901, repository_owner_id 82603435): ` +
				`allow[5] admits a repository without a name, but not the repository_visibility "public": it wants one of ["private"]`},
		{"an id that is a number", claims{"repository_id": 1020257999},
			`no rule of githubActions.allow admits this token of qjoly/lucca-oidc-poc (repository_id no text, repository_owner_id 82603435): ` +
				`allow[0] does not admit this token, as its repository_id is no text: it wants "1020257999"`},
		{"a ref that is a list", claims{"ref": []string{"refs/heads/main"}},
			lucca + `allow[0] admits qjoly/lucca-oidc-poc, but not this token, as its ref is no text: it wants one of ["refs/heads/main" "refs/tags/v*"]`},
		{"a token that names nothing", claims{"repository": nil, "repository_owner": 5, "repository_id": 901, "repository_owner_id": nil},
			`no rule of githubActions.allow admits this token of a repository without a name (repository_id no text, repository_owner_id none)`},
		{"a name with what is to be quoted", of("evil/x\nallow[0] admits it", "5", "6"),
			`no rule of githubActions.allow admits this token of "evil/x\nallow[0] admits it" (repository_id 5, repository_owner_id 6)`},
	} {
		t.Run(test.name, func(t *testing.T) {
			steps := &trace.Trace{}
			want := reason.Refusal{Code: reason.RepositoryNotAllowed, Text: test.text}
			if diff := cmp.Diff(want, decideGitHub(t, p, test.changes, steps).Refusal); diff != "" {
				t.Errorf("expected -, got +:\n%s", diff)
			}
			if diff := cmp.Diff([]trace.Step{{Check: "githubActions.allow", Outcome: trace.Failed, Detail: test.text}}, steps.Steps()); diff != "" {
				t.Errorf("expected -, got +:\n%s", diff)
			}
		})
	}
}

func TestGitHubRefusalsAreShort(t *testing.T) {
	long := strings.Repeat("\u00e9", 500)
	var rules []githubRule
	for i := range 100 {
		rule := githubRule{Owner: "qjoly", OwnerID: "82603435", Refs: []string{fmt.Sprintf("refs/%d/%s", i, long)}}
		for j := range 50 {
			rule.Refs = append(rule.Refs, fmt.Sprintf("refs/heads/%d", j))
		}
		rules = append(rules, rule)
	}
	text := decideGitHub(t, newGitHubPolicy(rules...), map[string]any{"repository": "qjoly/" + long, "ref": long}, nil).Refusal.Text
	if len(text) > 6000 || !strings.Contains(text, `"refs/heads/3"] and 46 more; allow[1] admits`) || strings.Contains(text, "allow[3]") {
		t.Errorf("expected a short text about three rules, got %d bytes: %s", len(text), text)
	}
}

func TestEveryGitHubRuleThatAdmitsAddsItsGroups(t *testing.T) {
	p := newGitHubPolicy(
		githubRule{Owner: "octo", Groups: []string{"octo"}},
		githubRule{Owner: "qjoly", Groups: []string{"own", "all"}},
		githubRule{Repository: "qjoly/lucca-oidc-poc", Groups: []string{"all", "lucca"}},
		githubRule{RepositoryID: "1020257999", Refs: []string{"refs/heads/dev"}, Groups: []string{"dev"}},
		githubRule{OwnerID: "82603435"},
		githubRule{Repository: "qj*/*", Groups: []string{"star"}},
	)
	for _, test := range []struct {
		name    string
		changes map[string]any
		groups  []string
		note    string
	}{
		{"all that admit", nil, []string{"own", "all", "lucca", "star"}, "allow[1], allow[2], allow[4], allow[5] admit qjoly/lucca-oidc-poc; the first by repository_owner is \"qjoly\""},
		{"and another", map[string]any{"ref": "refs/heads/dev"}, []string{"own", "all", "lucca", "dev", "star"}, "allow[1], allow[2], allow[3], allow[4], allow[5] admit qjoly/lucca-oidc-poc; the first by repository_owner is \"qjoly\""},
		{"one that has none", map[string]any{"repository": "x/y", "repository_owner": "x"}, nil, `allow[4] admits x/y by repository_owner_id is "82603435"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			steps := &trace.Trace{}
			decision := decideGitHub(t, p, test.changes, steps)
			if decision.User == nil {
				t.Fatal(decision.Refusal)
			}
			if diff := cmp.Diff(test.groups, decision.User.Groups); diff != "" {
				t.Errorf("expected -, got +:\n%s", diff)
			}
			want := trace.Step{Check: "githubActions.allow", Outcome: trace.Passed, Detail: test.note}
			if diff := cmp.Diff(want, steps.Steps()[0]); diff != "" {
				t.Errorf("expected -, got +:\n%s", diff)
			}
			want = trace.Step{Check: "added groups and extras", Outcome: trace.Passed}
			if len(test.groups) > 0 {
				want.Detail = fmt.Sprintf("groups %q", test.groups)
			}
			if !slices.Contains(steps.Steps(), want) {
				t.Errorf("expected %+v among %+v", want, steps.Steps())
			}
		})
	}
}

// TestGitHubRulesTogetherDecideAsEachAlone compares the index with reading rule by
// rule.
func TestGitHubRulesTogetherDecideAsEachAlone(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	for range 50 {
		var rules []githubRule
		var alone []*policy.Policy
		for i := range 12 {
			rule := githubRule{
				Repository: pick("", "", "a/x", "A/y", "b/x", "a/*", "b/**", "*/x", "a*/y", "**x", "a**"), Owner: pick("", "", "a", "B", "*", "a*"),
				RepositoryID: pick("", "", "1", "2"), OwnerID: pick("", "", "1", "2"), Groups: []string{fmt.Sprint(i)},
			}
			if random.IntN(3) == 0 {
				rule.Refs = []string{pick("m", "*")}
			}
			rules, alone = append(rules, rule), append(alone, newGitHubPolicy(rule))
		}
		together := newGitHubPolicy(rules...)
		for range 20 {
			changes := map[string]any{
				"repository": pick("", "a/x", "a/Y", "B/x", "ab/y", "c/x"), "repository_owner": pick("", "A", "b", "ab", "c"),
				"repository_id": pick("", "1", "2", "3"), "repository_owner_id": pick("", "1", "2", "3"), "ref": pick("m", "n"),
			}
			var want []string
			for i, p := range alone {
				if decideGitHub(t, p, changes, nil).User != nil {
					want = append(want, fmt.Sprint(i))
				}
				if got := admits(rules[i], changes); got != slices.Contains(want, fmt.Sprint(i)) {
					t.Fatalf("%+v on %v: expected %t", rules[i], changes, got)
				}
			}
			decision := decideGitHub(t, together, changes, nil)
			if (decision.User != nil) != (want != nil) {
				t.Fatalf("%+v on %v: expected %q, got %s", rules, changes, want, decision.Refusal)
			}
			if decision.User != nil && !slices.Equal(decision.User.Groups, want) {
				t.Fatalf("%+v on %v: expected %q, got %q", rules, changes, want, decision.User.Groups)
			}
		}
	}
}

// admits is what a rule says, without an index.
func admits(rule githubRule, claims map[string]any) bool {
	holds := func(given, claim string) bool {
		value := strings.ToLower(claims[claim].(string))
		return given == "" || value != "" && policy.NewPattern(strings.ToLower(given)).Match(value)
	}
	if rule.Repository+rule.Owner+rule.RepositoryID+rule.OwnerID+strings.Join(rule.Refs, "") == "" {
		return false
	}
	return holds(rule.Repository, "repository") && holds(rule.Owner, "repository_owner") &&
		holds(rule.RepositoryID, "repository_id") && holds(rule.OwnerID, "repository_owner_id") &&
		holds(strings.Join(rule.Refs, ""), "ref")
}

func TestAnyRepositoryIsAdmittedWhereThePolicySaysSo(t *testing.T) {
	p := compiled(t, policy.Config{Policy: v1alpha1.IssuerPolicySpec{GitHubActions: &v1alpha1.GitHubActions{AllowAnyRepository: true}}})
	decide(t, p, `{"sub":"repo:stranger/mine:ref:refs/heads/main","repository":"stranger/mine"}`).expect(t, "", "")
}
