package policy

import (
	"context"
	"fmt"

	"github.com/google/cel-go/common/types"
	"k8s.io/apiserver/pkg/apis/apiserver"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"

	"tokenreview.dev/webhook/pkg/reason"
)

// requiredClaim is a claimValidationRules entry with claim and requiredValue.
type requiredClaim struct{ claim, value string }

func requiredClaims(rules []apiserver.ClaimValidationRule) []requiredClaim {
	var required []requiredClaim
	for _, rule := range rules {
		if rule.Claim != "" {
			required = append(required, requiredClaim{claim: rule.Claim, value: rule.RequiredValue})
		}
	}
	return required
}

func (p *Policy) checkRequiredClaims(_ context.Context, r *review) reason.Refusal {
	r.noteRequired(p.required)
	for _, required := range p.required {
		got, err := r.Claims.String(required.claim)
		if err != nil {
			return reason.Refusal{Code: reason.ClaimRuleFailed, Text: fmt.Sprintf("claim %q is required to be %q: %v", required.claim, required.value, err)}
		}
		if got != required.value {
			return reason.Refusal{Code: reason.ClaimRuleFailed, Text: fmt.Sprintf("claim %q is required to be %q, got %.200q", required.claim, required.value, got)}
		}
	}
	return reason.Refusal{}
}

func (p *Policy) checkClaimRules(ctx context.Context, r *review) reason.Refusal {
	if p.expressions.ClaimValidationRules == nil {
		return reason.Refusal{}
	}
	results, err := p.expressions.ClaimValidationRules.EvalClaimMappings(ctx, r.claimsValue())
	if err != nil {
		return reason.Refusal{Code: reason.ClaimRuleFailed, Text: said(err)}
	}
	r.noteRules(results)
	return checkResults(reason.ClaimRuleFailed, results)
}

func (p *Policy) checkUserRules(ctx context.Context, r *review) reason.Refusal {
	if p.expressions.UserValidationRules == nil {
		return reason.Refusal{}
	}
	results, err := p.expressions.UserValidationRules.EvalUser(ctx, newUserValue(r.user))
	if err != nil {
		return reason.Refusal{Code: reason.UserRuleFailed, Text: said(err)}
	}
	r.noteRules(results)
	return checkResults(reason.UserRuleFailed, results)
}

// checkResults refuses unless every rule came out true.
func checkResults(code reason.Code, results []authenticationcel.EvaluationResult) reason.Refusal {
	for _, result := range results {
		if result.EvalResult == types.True {
			continue
		}
		rule := result.ExpressionAccessor.GetExpression()
		if result.EvalResult != types.False {
			return reason.Refusal{Code: code, Text: fmt.Sprintf("rule %q must return true or false", rule)}
		}
		if message := ruleMessage(result.ExpressionAccessor); message != "" {
			return reason.Refusal{Code: code, Text: fmt.Sprintf("%s: rule %q did not hold", message, rule)}
		}
		return reason.Refusal{Code: code, Text: fmt.Sprintf("rule %q did not hold", rule)}
	}
	return reason.Refusal{}
}

func ruleMessage(rule authenticationcel.ExpressionAccessor) string {
	switch rule := rule.(type) {
	case *authenticationcel.ClaimValidationCondition:
		return rule.Message
	case *authenticationcel.UserValidationCondition:
		return rule.Message
	default:
		return ""
	}
}
