package policy

import (
	"fmt"
	"strings"

	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
)

// noteSource says for a trace what a mapping has read: a claim, with a prefix put before
// it, or an expression.
func (r *review) noteSource(claim, prefix, expression string) {
	if !r.traced {
		return
	}
	switch {
	case expression != "":
		r.note = fmt.Sprintf("from the expression %.200q", expression)
	case claim == "":
		r.note = "(not mapped)"
	case !r.Claims.Has(claim):
		r.note = fmt.Sprintf("(the token has no claim %q)", claim)
	case prefix != "":
		r.note = fmt.Sprintf("from the claim %q with the prefix %.200q", claim, prefix)
	default:
		r.note = fmt.Sprintf("from the claim %q", claim)
	}
}

// noteVerified says for a trace what the token says of its email.
func (r *review) noteVerified(claim string) {
	if !r.traced {
		return
	}
	text := fmt.Sprintf("the token does not say whether the email is verified: it has no claim %q", claim)
	if value, ok := r.Claims.Get(claim); ok {
		text = fmt.Sprintf("%s is %.20s", claim, value) // a boolean, or Entra's spelling of one
	}
	if r.note != "" {
		text = r.note + ", " + text
	}
	r.note = text
}

// noteRequired says for a trace which claims have the value that they must have.
func (r *review) noteRequired(required []requiredClaim) {
	if !r.traced {
		return
	}
	var shown []string
	for _, claim := range required[:min(len(required), maxShown)] {
		shown = append(shown, fmt.Sprintf("claim %.200q is %.200q", claim.claim, claim.value))
	}
	if more := len(required) - maxShown; more > 0 {
		shown = append(shown, fmt.Sprintf("and %d more", more))
	}
	r.note = strings.Join(shown, ", ")
}

// noteRules says for a trace which rules have held.
func (r *review) noteRules(results []authenticationcel.EvaluationResult) {
	if !r.traced || len(results) == 0 {
		return
	}
	expressions := make([]string, len(results))
	for i := range results {
		expressions[i] = results[i].ExpressionAccessor.GetExpression()
	}
	r.note = "held: " + some(expressions)
}

// noteUser says for a trace why a token is not taken for an application's.
func (r *review) noteUser() {
	if !r.traced {
		return
	}
	r.note = "a user: nothing in the token says that it is an application"
	if kind, err := r.Claims.String("idtyp"); err == nil {
		r.note = fmt.Sprintf("a user: idtyp is %.50q", kind)
	}
}
