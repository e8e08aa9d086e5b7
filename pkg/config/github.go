package config

import (
	"net/url"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/apiserver"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
)

// reportOpenGitHubIssuers refuses an issuer that is GitHub Actions and that nothing
// restricts to some repositories. Anyone can run a workflow that gets a token for
// any audience, so such an issuer lets everyone on GitHub in. An allow list that is
// only recorded restricts nobody.
//
// It waits until document 1 and the policies are sound: the restriction may be what
// is misspelt.
func reportOpenGitHubIssuers(file decodedFile, compiler authenticationcel.Compiler) {
	if !file.authentication.sound() {
		return
	}
	for _, policy := range file.policies {
		if !policy.sound() {
			return
		}
	}
	for i, jwt := range file.authentication.object.JWT {
		if !isGitHubActions(jwt.Issuer.URL) || hasRepositoryRule(jwt.ClaimValidationRules, compiler) {
			continue
		}
		at, path := file.authentication.document, field.NewPath("jwt").Index(i).Child("issuer", "url")
		if policy := file.policyOf(jwt.Issuer.URL); policy != nil {
			at, path = policy.document, field.NewPath("spec", "githubActions")
			switch github := policy.object.Spec.GitHubActions; {
			case github == nil:
			case github.AllowAnyRepository:
				continue
			case len(github.Allow) > 0 && policy.object.Spec.Enforcement == v1alpha1.EnforcementAudit:
				at.report(field.ErrorList{field.Forbidden(field.NewPath("spec", "enforcement"), "this issuer is GitHub Actions and Audit makes githubActions.allow refuse nobody, so every repository on GitHub would get in: "+
					"add a claimValidationRules entry over claims.repository to document 1, which Audit leaves in force, or set Enforce")})
				continue
			case len(github.Allow) > 0:
				continue
			}
		}
		at.report(field.ErrorList{field.Forbidden(path, "this issuer is GitHub Actions and nothing restricts the repository, so every repository on GitHub would get in: "+
			"add a claimValidationRules entry over claims.repository to document 1, or githubActions.allow to an IssuerPolicy; "+
			"githubActions.allowAnyRepository: true if that is what you want")})
	}
}

// isGitHubActions reports whether an issuer is github.com, with or without an
// enterprise's slug, GitHub Enterprise Server, or GitHub Enterprise Cloud with data
// residency.
func isGitHubActions(issuer string) bool {
	address, err := url.Parse(issuer)
	if err != nil {
		return false
	}
	host := strings.ToLower(address.Hostname())
	return host == "token.actions.githubusercontent.com" ||
		strings.HasPrefix(host, "token.actions.") && strings.HasSuffix(host, ".ghe.com") ||
		strings.HasSuffix(strings.TrimSuffix(address.Path, "/"), "/_services/token")
}

// hasRepositoryRule reports whether a rule decides by the repository or its owner.
// Whether it decides well only its author can know.
func hasRepositoryRule(rules []apiserver.ClaimValidationRule, compiler authenticationcel.Compiler) bool {
	for _, rule := range rules {
		if isRepositoryClaim(rule.Claim) {
			return true
		}
		compiled, err := compiler.CompileClaimsExpression(&authenticationcel.ClaimValidationCondition{Expression: rule.Expression})
		if err == nil && readsRepositoryClaim(compiled.AST.NativeRep().Expr()) {
			return true
		}
	}
	return false
}

// isRepositoryClaim reports whether a claim tells one owner's repositories from
// another's. repository_visibility does not: anyone has a public one.
func isRepositoryClaim(name string) bool {
	switch name {
	case "repository", "repository_id", "repository_owner", "repository_owner_id":
		return true
	}
	return false
}

// readsRepositoryClaim looks in a checked expression for claims.repository…,
// claims["repository…"] and their optional forms. That the claim is there, which is
// all has(claims.repository) says, is true of every token of GitHub.
func readsRepositoryClaim(expression ast.Expr) bool {
	found := false
	ast.PreOrderVisit(expression, ast.NewExprVisitor(func(e ast.Expr) {
		found = found || isRepositoryClaim(claimRead(e))
	}))
	return found
}

// claimRead is the name of the claim whose value e reads, empty if it reads none.
func claimRead(e ast.Expr) string {
	switch e.Kind() {
	case ast.SelectKind:
		if s := e.AsSelect(); isClaims(s.Operand()) && !s.IsTestOnly() {
			return s.FieldName()
		}
	case ast.CallKind:
		call := e.AsCall()
		switch call.FunctionName() {
		case operators.Index, operators.OptIndex, operators.OptSelect:
			if args := call.Args(); len(args) == 2 && isClaims(args[0]) && args[1].Kind() == ast.LiteralKind {
				name, _ := args[1].AsLiteral().(types.String)
				return string(name)
			}
		}
	}
	return ""
}

func isClaims(e ast.Expr) bool { return e.Kind() == ast.IdentKind && e.AsIdent() == "claims" }
