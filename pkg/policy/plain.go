package policy

import (
	"context"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"k8s.io/apiserver/pkg/apis/apiserver"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
)

// plainExpression is one that only reads claims and compares them with texts, or puts
// them together. Most are such, and CEL takes far longer to begin than it takes to read
// some claims.
type plainExpression interface {
	// evaluate returns false where CEL has to say what comes of it: a claim is missing, or
	// is no text where it would have to be.
	evaluate(claims traits.Mapper) (ref.Val, bool)
}

const (
	plainClaim = `claims\.([a-zA-Z_][a-zA-Z0-9_]*)`
	plainText  = `"([^"\\]*)"|'([^'\\]*)'`
	plainTerm  = plainClaim + `|` + plainText
)

var (
	plainTerms  = regexp.MustCompile(plainTerm)
	plainSums   = regexp.MustCompile(`^\s*(` + plainTerm + `)(\s*\+\s*(` + plainTerm + `))*\s*$`)
	plainEquals = regexp.MustCompile(`^\s*` + plainClaim + `\s*==\s*(` + plainText + `)\s*$`)
	plainLists  = regexp.MustCompile(`^\s*` + plainClaim + `\s+in\s*\[\s*(` + plainText + `)(\s*,\s*(` + plainText + `))*\s*\]\s*$`)
)

// newPlainExpression returns nil for every other expression.
func newPlainExpression(expression string) plainExpression {
	if !utf8.ValidString(expression) {
		return nil // CEL makes U+FFFD of what is none.
	}
	sum := plainSums.MatchString(expression)
	if !sum && !plainEquals.MatchString(expression) && !plainLists.MatchString(expression) {
		return nil
	}
	var terms []term
	for _, found := range plainTerms.FindAllStringSubmatch(expression, -1) {
		terms = append(terms, term{claim: types.String(found[1]), text: types.String(found[2] + found[3])})
	}
	if sum {
		return plainSum(terms)
	}
	compared := &plainComparison{claim: terms[0].claim, texts: make(map[types.String]bool)}
	for _, one := range terms[1:] {
		compared.texts[one.text] = true
	}
	return compared
}

// term is a claim, by its name as an expression spells it, or text.
type term struct{ claim, text types.String }

// plainSum is a claim, or texts and claims put together:
//
//	claims.groups
//	"github-actions:" + claims.repository_id + ":" + claims.ref
type plainSum []term

func (e plainSum) evaluate(claims traits.Mapper) (ref.Val, bool) {
	var text strings.Builder
	for _, term := range e {
		if term.claim == "" {
			text.WriteString(string(term.text))
			continue
		}
		value, found := claims.Find(term.claim)
		if !found || types.IsUnknownOrError(value) {
			return nil, false
		}
		if len(e) == 1 {
			return value, true
		}
		part, ok := value.(types.String)
		if !ok {
			return nil, false
		}
		text.WriteString(string(part))
	}
	return types.String(text.String()), true
}

// plainComparison says whether a claim is one of some texts:
//
//	claims.repository_owner == "octo-org"
//	claims.repository in ["octo-org/octo-repo", "octo-org/another"]
type plainComparison struct {
	claim types.String
	texts map[types.String]bool
}

func (e *plainComparison) evaluate(claims traits.Mapper) (ref.Val, bool) {
	value, _ := claims.Find(e.claim)
	text, ok := value.(types.String)
	return types.Bool(e.texts[text]), ok
}

// plainMapper evaluates expressions that are all plain.
type plainMapper struct {
	// ClaimsMapper is CEL's, for tokens for which one of them comes to nothing plain.
	authenticationcel.ClaimsMapper
	plain       []plainExpression
	expressions []authenticationcel.ExpressionAccessor
}

// newPlainMapper returns a mapper for the expressions that compiled is a mapper for:
// compiled itself unless all are plain.
func newPlainMapper(compiled authenticationcel.ClaimsMapper,
	expressions ...authenticationcel.ExpressionAccessor,
) authenticationcel.ClaimsMapper {
	mapper := &plainMapper{ClaimsMapper: compiled, expressions: expressions}
	for _, expression := range expressions {
		plain := newPlainExpression(expression.GetExpression())
		if plain == nil {
			return compiled
		}
		mapper.plain = append(mapper.plain, plain)
	}
	return mapper
}

// EvalClaimMapping evaluates the only expression.
func (m *plainMapper) EvalClaimMapping(ctx context.Context, claims traits.Mapper) (authenticationcel.EvaluationResult, error) {
	if results, ok := m.evaluate(claims); ok && len(results) == 1 {
		return results[0], nil
	}
	return m.ClaimsMapper.EvalClaimMapping(ctx, claims)
}

// EvalClaimMappings evaluates all expressions.
func (m *plainMapper) EvalClaimMappings(ctx context.Context, claims traits.Mapper) ([]authenticationcel.EvaluationResult, error) {
	if results, ok := m.evaluate(claims); ok {
		return results, nil
	}
	return m.ClaimsMapper.EvalClaimMappings(ctx, claims)
}

func (m *plainMapper) evaluate(claims traits.Mapper) ([]authenticationcel.EvaluationResult, bool) {
	results := make([]authenticationcel.EvaluationResult, len(m.plain))
	for i, plain := range m.plain {
		value, ok := plain.evaluate(claims)
		if !ok {
			return nil, false
		}
		results[i] = authenticationcel.EvaluationResult{EvalResult: value, ExpressionAccessor: m.expressions[i]}
	}
	return results, true
}

// withPlainMappers returns mappers like compiled, those of an authenticator, that ask CEL no
// more than they must. What has no expression has no mapper: "" is not plain.
func withPlainMappers(compiled authenticationcel.CELMapper, of *apiserver.JWTAuthenticator) authenticationcel.CELMapper {
	mappings := &of.ClaimMappings
	one := func(mapper authenticationcel.ClaimsMapper, expression string) authenticationcel.ClaimsMapper {
		return newPlainMapper(mapper, &authenticationcel.ClaimMappingExpression{Expression: expression})
	}
	compiled.Username = one(compiled.Username, mappings.Username.Expression)
	compiled.Groups = one(compiled.Groups, mappings.Groups.Expression)
	compiled.UID = one(compiled.UID, mappings.UID.Expression)
	if compiled.Extra != nil {
		var extra []authenticationcel.ExpressionAccessor
		for _, mapping := range mappings.Extra {
			extra = append(extra, &authenticationcel.ExtraMappingExpression{Key: mapping.Key, Expression: mapping.ValueExpression})
		}
		compiled.Extra = newPlainMapper(compiled.Extra, extra...)
	}
	if compiled.ClaimValidationRules != nil {
		var rules []authenticationcel.ExpressionAccessor
		for _, rule := range of.ClaimValidationRules {
			if rule.Expression != "" {
				rules = append(rules, &authenticationcel.ClaimValidationCondition{Expression: rule.Expression, Message: rule.Message})
			}
		}
		compiled.ClaimValidationRules = newPlainMapper(compiled.ClaimValidationRules, rules...)
	}
	return compiled
}
