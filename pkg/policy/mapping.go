package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
	"k8s.io/apiserver/pkg/authentication/token/jwt"
	"k8s.io/apiserver/pkg/authentication/user"

	"tokenreview.dev/webhook/pkg/reason"
)

func mappingFailed(field string, err error) reason.Refusal {
	return reason.Refusal{Code: reason.MappingFailed, Text: fmt.Sprintf("claimMappings.%s: %s", field, said(err))}
}

// mapUsername sets the user's name. It must be text, and not be empty.
func (p *Policy) mapUsername(ctx context.Context, r *review) reason.Refusal {
	mapping := p.mappings.Username
	if p.expressions.Username != nil {
		result, err := p.expressions.Username.EvalClaimMapping(ctx, r.claimsValue())
		if err != nil {
			return mappingFailed("username", err)
		}
		name, ok := result.EvalResult.(types.String)
		if !ok {
			return mappingFailed("username", errNotText)
		}
		if name == "" {
			return mappingFailed("username", errors.New("the expression returned empty text"))
		}
		r.user.Name = string(name)
		r.noteSource("", "", mapping.Expression)
	} else {
		name, err := r.Claims.String(mapping.Claim)
		if err != nil {
			return mappingFailed("username", fmt.Errorf("claim %q: %w", mapping.Claim, err))
		}
		if name == "" {
			return mappingFailed("username", fmt.Errorf("claim %q is empty", mapping.Claim))
		}
		r.noteSource(mapping.Claim, prefix(mapping.Prefix), "")
		if refusal := p.checkEmail(ctx, r); !refusal.IsZero() {
			return refusal
		}
		r.user.Name = prefix(mapping.Prefix) + name
	}
	return refuseControl("username", r.user.Name)
}

// refuseControl refuses names that hold control characters (Unicode category Cc, NUL
// and line breaks among them): nobody has such a name, and whoever prints one into a
// log or a terminal is told something else.
func refuseControl(field string, names ...string) reason.Refusal {
	for _, name := range names {
		if hasControl(name) {
			return mappingFailed(field, fmt.Errorf("%.200q holds a control character", name))
		}
	}
	return reason.Refusal{}
}

func hasControl(text string) bool {
	for i := range len(text) {
		// Most texts are printable ASCII, and there may be many.
		if text[i] < ' ' || text[i] > '~' {
			return strings.ContainsFunc(text[i:], unicode.IsControl)
		}
	}
	return false
}

func (p *Policy) mapGroups(ctx context.Context, r *review) reason.Refusal {
	mapping := p.mappings.Groups
	if mapping.Claim == claimGroups && p.entra && !r.groupsResolved && hasOverage(r.Claims) {
		return reason.Refusal{Code: reason.GroupOverage, Text: p.overageText}
	}
	if mapping.Claim != "" && r.Claims.Has(mapping.Claim) {
		groups, err := r.Claims.Strings(mapping.Claim)
		if err != nil {
			return mappingFailed("groups", fmt.Errorf("claim %q: %w", mapping.Claim, err))
		}
		if prefix := prefix(mapping.Prefix); prefix != "" {
			for i := range groups {
				groups[i] = prefix + groups[i]
			}
		}
		r.user.Groups = groups
		r.noteSource(mapping.Claim, prefix(mapping.Prefix), "")
		return refuseControl("groups", groups...)
	}
	r.noteSource(mapping.Claim, "", mapping.Expression)
	if p.expressions.Groups == nil {
		return reason.Refusal{}
	}
	result, err := p.expressions.Groups.EvalClaimMapping(ctx, r.claimsValue())
	if err != nil {
		return mappingFailed("groups", err)
	}
	if r.user.Groups, err = stringList(result.EvalResult); err != nil {
		return mappingFailed("groups", err)
	}
	return refuseControl("groups", r.user.Groups...)
}

func (p *Policy) mapUID(ctx context.Context, r *review) reason.Refusal {
	mapping := p.mappings.UID
	if mapping.Claim != "" {
		uid, err := r.Claims.String(mapping.Claim)
		if err != nil {
			return mappingFailed("uid", fmt.Errorf("claim %q: %w", mapping.Claim, err))
		}
		r.user.UID = uid
		r.noteSource(mapping.Claim, "", "")
		return refuseControl("uid", uid)
	}
	r.noteSource("", "", mapping.Expression)
	if p.expressions.UID == nil {
		return reason.Refusal{}
	}
	result, err := p.expressions.UID.EvalClaimMapping(ctx, r.claimsValue())
	if err != nil {
		return mappingFailed("uid", err)
	}
	uid, ok := result.EvalResult.(types.String)
	if !ok {
		return mappingFailed("uid", errNotText)
	}
	r.user.UID = string(uid)
	return refuseControl("uid", r.user.UID)
}

// mapExtra sets the user's extras, and the id of the credential where the token
// has a jti (RFC 7519 §4.1.7).
func (p *Policy) mapExtra(ctx context.Context, r *review) reason.Refusal {
	extra := make(map[string][]string)
	if jti, err := r.Claims.String("jti"); err == nil {
		if id := jwt.CredentialIDForJTI(jti); id != "" {
			extra[user.CredentialIDKey] = []string{id}
		}
	}
	if p.expressions.Extra != nil {
		results, err := p.expressions.Extra.EvalClaimMappings(ctx, r.claimsValue())
		if err != nil {
			return mappingFailed("extra", err)
		}
		for _, result := range results {
			mapping, ok := result.ExpressionAccessor.(*authenticationcel.ExtraMappingExpression)
			if !ok {
				return mappingFailed("extra", fmt.Errorf("unexpected expression %T", result.ExpressionAccessor))
			}
			values, err := stringList(result.EvalResult)
			if err != nil {
				return mappingFailed("extra", fmt.Errorf("%s: %w", mapping.Key, err))
			}
			if len(values) > 0 {
				extra[mapping.Key] = values
			}
		}
	}
	if len(extra) > 0 {
		r.user.Extra = extra
	}
	return reason.Refusal{}
}

func prefix(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

var errNotText = errors.New("the expression must return text")

var errNotStringList = errors.New("the expression must return text or a list of text")

// stringList reads text or a list of text. "", [] and null are no text, and empty
// members are left out.
func stringList(value ref.Val) ([]string, error) {
	switch value.Type().TypeName() {
	case celgo.NullType.TypeName():
		return nil, nil
	case celgo.StringType.TypeName():
		return nonEmpty([]string{value.Value().(string)}), nil
	case celgo.ListType(nil).TypeName():
	default:
		return nil, errNotStringList
	}
	var texts []string
	switch list := value.Value().(type) {
	case []any:
		for _, member := range list {
			text, ok := member.(string)
			if !ok {
				return nil, errNotStringList
			}
			texts = append(texts, text)
		}
	case []ref.Val:
		for _, member := range list {
			text, ok := member.Value().(string)
			if !ok {
				return nil, errNotStringList
			}
			texts = append(texts, text)
		}
	default:
		return nil, errNotStringList
	}
	return nonEmpty(texts), nil
}

// nonEmpty returns the texts that are not empty, nil where there are none.
func nonEmpty(texts []string) []string {
	texts = slices.DeleteFunc(texts, func(text string) bool { return text == "" })
	if len(texts) == 0 {
		return nil
	}
	return texts
}
