package config

import (
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"k8s.io/apiserver/pkg/apis/apiserver"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
)

// hasRuleOver reports whether a rule decides by one of the claims that isOne names.
// Whether it decides well only its author can know.
func hasRuleOver(isOne func(claim string) bool, rules []apiserver.ClaimValidationRule, compiler authenticationcel.Compiler) bool {
	for _, rule := range rules {
		if isOne(rule.Claim) {
			return true
		}
		compiled, err := compiler.CompileClaimsExpression(&authenticationcel.ClaimValidationCondition{Expression: rule.Expression})
		if err == nil && reads(compiled.AST.NativeRep().Expr(), isOne) {
			return true
		}
	}
	return false
}

// reads looks in a checked expression for claims.name, claims["name"] and their
// optional forms. That the claim is there, which is all that has(claims.name) and
// claims.?name.hasValue() say, is true of every token of such an issuer.
func reads(expression ast.Expr, isOne func(claim string) bool) bool {
	found, rebound, presence := false, false, map[int64]bool{}
	// Outer expressions are visited before those within them.
	ast.PreOrderVisit(expression, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == "hasValue" && e.AsCall().IsMemberFunction() {
			presence[e.AsCall().Target().ID()] = true
		}
		if e.Kind() == ast.ComprehensionKind {
			c := e.AsComprehension()
			rebound = rebound || c.IterVar() == claimsVariable || c.IterVar2() == claimsVariable
		}
		found = found || !presence[e.ID()] && isOne(claimRead(e))
	}))
	// Where a macro has its own claims, which is meant is not worth finding out.
	return found && !rebound
}

// claimsVariable is the token's claims in an expression.
const claimsVariable = "claims"

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

func isClaims(e ast.Expr) bool { return e.Kind() == ast.IdentKind && e.AsIdent() == claimsVariable }
