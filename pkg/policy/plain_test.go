package policy

import (
	"context"
	"errors"
	"testing"

	"github.com/google/cel-go/common/types/traits"
	"k8s.io/apiserver/pkg/apis/apiserver"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
)

// asked notes whether CEL is asked, and fails.
type asked struct{ asked bool }

var errAsked = errors.New("CEL was asked")

func (a *asked) EvalClaimMapping(context.Context, traits.Mapper) (authenticationcel.EvaluationResult, error) {
	a.asked = true
	return authenticationcel.EvaluationResult{}, errAsked
}

func (a *asked) EvalClaimMappings(context.Context, traits.Mapper) ([]authenticationcel.EvaluationResult, error) {
	a.asked = true
	return nil, errAsked
}

// A plain expression comes to what it comes to in CEL, which is asked about all others.
func TestPlainExpressions(t *testing.T) {
	for _, test := range []struct {
		name        string
		plain       bool
		expressions []string
	}{
		{"a claim that is text", true, []string{`claims.sub`}},
		{"a claim that is empty", true, []string{`claims.empty`}},
		{"true", true, []string{`claims.yes`}},
		{"null", true, []string{`claims.nil`}},
		{"a number", true, []string{`claims.number`}},
		{"a list", true, []string{`claims.list`}},
		{"an object", true, []string{`claims.object`}},
		{"an escape", true, []string{`claims.x__dot__y`}},
		{"white space around it", true, []string{" claims.sub\n"}},
		{"several claims", true, []string{`claims.sub`, `claims.list`, `claims.sub`}},
		{"a claim that is missing", false, []string{`claims.missing`}},
		{"a number beyond all numbers", false, []string{`claims.beyond`}},
		{"an escape that is none", false, []string{`claims.__nothing__`}},
		{"one of several that is missing", false, []string{`claims.sub`, `claims.missing`}},
		{"one of several that is another expression", false, []string{`claims.sub`, `claims.sub + (claims.sub)`}},
		{"a member of a claim", false, []string{`claims.object.e`}},
		{"a claim in brackets", false, []string{`claims["sub"]`}},
		{"an optional claim", false, []string{`claims.?sub`}},
		{"a function of a claim", false, []string{`claims.sub.upperAscii()`}},
		{"text", true, []string{`"text"`}},
		{"no text", true, []string{`""`}},
		{"text in single quotes", true, []string{`'te"xt'`}},
		{"a claim and a prefix", true, []string{`"a'b: é" + claims.sub`}},
		{"texts and claims", true, []string{`'a:'+claims.sub +":" + claims.x__dot__y+ claims.escaped + "" + claims.empty + 'z'`}},
		{"claims over several lines", true, []string{"claims.sub +\n\t claims.sub\n"}},
		{"text that looks like a claim", true, []string{`"claims.sub" + claims.sub + "+" + '+ claims.yes'`}},
		{"several expressions that put together", true, []string{`"a" + claims.sub`, `claims.list`, `claims.empty + claims.empty`}},
		{"numbers added", false, []string{`claims.number + claims.half`}},
		{"lists joined", false, []string{`claims.list + claims.none`}},
		{"text and a number", false, []string{`"a" + claims.number`}},
		{"text and null", false, []string{`"a" + claims.nil`}},
		{"text and a claim that is missing", false, []string{`"a" + claims.missing`}},
		{"a claim that is missing, of several in one expression", false, []string{`claims.sub + claims.missing + claims.sub`}},
		{"text with an escape", false, []string{`"a\n" + claims.sub`}},
		{"text in single quotes with an escape", false, []string{`'a\t' + claims.sub`}},
		{"text with an escaped quote", false, []string{`'a\'' + claims.sub + '\''`}},
		{"raw text", false, []string{`r"a" + claims.sub`}},
		{"text in three quotes", false, []string{`"""a""" + claims.sub`}},
		{"bytes", false, []string{`b"a"`}},
		{"another operator", false, []string{`claims.sub == "jane" ? claims.sub : "a"`}},
		{"a comparison", false, []string{`"a" + claims.sub == claims.sub`}},
		{"a claim compared with the text that it is", true, []string{`claims.sub == "jane"`}},
		{"a claim compared with another text", true, []string{`claims.sub=='joan'`}},
		{"a claim compared with no text", true, []string{`claims.sub == "" `, `claims.empty == ""`}},
		{"a claim compared with text that has to be escaped in JSON", true, []string{`claims.escaped == "ä"`}},
		{"a claim that is one of some texts", true, []string{`claims.sub in ["joan", 'jane']`}},
		{"a claim that is none of them", true, []string{"claims.x__dot__y\n in [ \"claims.sub\",\n'jane' ]"}},
		{"a claim that is one of one", true, []string{`claims.sub in["jane"]`}},
		{"several rules", true, []string{`claims.sub == "jane"`, `claims.empty in ["jane"]`, `"a" + claims.sub`}},
		{"a claim that is missing, compared", false, []string{`claims.missing == "jane"`}},
		{"a claim that is missing among texts", false, []string{`claims.missing in ["jane", ""]`}},
		{"a number compared with text", false, []string{`claims.number == "5"`}},
		{"a list among texts", false, []string{`claims.list in ["a"]`}},
		{"null among texts", false, []string{`claims.nil in ["", "null"]`}},
		{"a number beyond all numbers, compared", false, []string{`claims.beyond == "1e999"`}},
		{"a claim compared with what is no text", false, []string{`claims.yes == true`}},
		{"a claim among more than texts", false, []string{`claims.sub in ["joan", "ja" + "ne"]`}},
		{"a claim among nothing", false, []string{`claims.sub in []`}},
		{"a claim in a claim", false, []string{`claims.sub in claims.list`}},
		{"text in a claim", false, []string{`"a" in claims.list`}},
		{"texts with a comma after the last", false, []string{`claims.sub in ["jane",]`}},
		{"a text with an escape among texts", false, []string{`claims.sub in ["j\u0061ne"]`}},
		{"raw text among texts", false, []string{`claims.sub in [r"jane"]`}},
		{"text in three quotes, compared", false, []string{`claims.sub == """jane"""`}},
		{"text that is no UTF-8", false, []string{"'a\xff' + claims.sub"}},
		{"not equal", false, []string{`claims.sub != "jane"`}},
		{"not among", false, []string{`!(claims.sub in ["jane"])`}},
		{"two comparisons", false, []string{`claims.sub == "jane" && claims.empty == ""`}},
		{"a comparison compared", false, []string{`claims.sub == "jane" == true`}},
		{"texts compared", false, []string{`"jane" == "jane"`}},
		{"a list of text", false, []string{`["a" + claims.sub]`}},
		{"a function of text put together", false, []string{`("a" + claims.sub).size()`}},
		{"a method of the last claim", false, []string{`"a" + claims.sub.upperAscii()`}},
		{"a claim and a comment", false, []string{"claims.sub // claims.list"}},
		{"white space within", false, []string{"claims . sub"}},
		{"all claims", false, []string{`type(claims)`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var expressions []authenticationcel.ExpressionAccessor
			for _, expression := range test.expressions {
				expressions = append(expressions, &authenticationcel.ExtraMappingExpression{Key: "key of " + expression, Expression: expression})
			}
			claims := &claimsValue{claims: testClaims(t, manyKindsOfClaims)}
			cel, never := mapperOf(t, expressions...), &asked{}
			if got, want := evaluated(t, newPlainMapper(cel, expressions...), claims), evaluated(t, cel, claims); got != want {
				t.Errorf("expected %s, got %s", want, got)
			}
			_, err := newPlainMapper(never, expressions...).EvalClaimMappings(t.Context(), claims)
			if never.asked == test.plain || errors.Is(err, errAsked) == test.plain {
				t.Errorf("expected CEL to be asked: %v, got %v, error %v", !test.plain, never.asked, err)
			}
		})
	}
}

// Where all expressions of an authenticator are plain, what comes of each is said with its
// own key or message, as CEL does, which nobody asks.
func TestPlainExpressionsOfAnAuthenticator(t *testing.T) {
	plain := apiserver.JWTAuthenticator{
		ClaimMappings: apiserver.ClaimMappings{
			Username: apiserver.PrefixedClaimOrExpression{Expression: `"a:" + claims.sub`},
			Groups:   apiserver.PrefixedClaimOrExpression{Expression: `claims.list`},
			UID:      apiserver.ClaimOrExpression{Expression: `claims.x__dot__y`},
			Extra: []apiserver.ExtraMapping{
				{Key: "example.com/first", ValueExpression: `claims.sub`},
				{Key: "example.com/second", ValueExpression: `claims.list`},
			},
		},
		ClaimValidationRules: []apiserver.ClaimValidationRule{
			{Claim: "sub", RequiredValue: "jane"},
			{Expression: `claims.sub == "jane"`, Message: "only Jane"},
			{Claim: "namespace", RequiredValue: "reserved"},
			{Expression: `claims.sub in ["joan"]`, Message: "only Joan"},
		},
	}
	never := &asked{}
	compiled := authenticationcel.CELMapper{Username: never, Groups: never, UID: never, Extra: never, ClaimValidationRules: never}
	mappers := withPlainMappers(compiled, &plain)
	for _, test := range []struct {
		name        string
		mapper      authenticationcel.ClaimsMapper
		expressions []authenticationcel.ExpressionAccessor
	}{
		{"username", mappers.Username, []authenticationcel.ExpressionAccessor{
			&authenticationcel.ClaimMappingExpression{Expression: `"a:" + claims.sub`},
		}},
		{"groups", mappers.Groups, []authenticationcel.ExpressionAccessor{
			&authenticationcel.ClaimMappingExpression{Expression: `claims.list`},
		}},
		{"uid", mappers.UID, []authenticationcel.ExpressionAccessor{
			&authenticationcel.ClaimMappingExpression{Expression: `claims.x__dot__y`},
		}},
		{"extra", mappers.Extra, []authenticationcel.ExpressionAccessor{
			&authenticationcel.ExtraMappingExpression{Key: "example.com/first", Expression: `claims.sub`},
			&authenticationcel.ExtraMappingExpression{Key: "example.com/second", Expression: `claims.list`},
		}},
		{"claimValidationRules", mappers.ClaimValidationRules, []authenticationcel.ExpressionAccessor{
			&authenticationcel.ClaimValidationCondition{Expression: `claims.sub == "jane"`, Message: "only Jane"},
			&authenticationcel.ClaimValidationCondition{Expression: `claims.sub in ["joan"]`, Message: "only Joan"},
		}},
	} {
		claims := &claimsValue{claims: testClaims(t, manyKindsOfClaims)}
		got := cameTo(test.mapper.EvalClaimMappings(t.Context(), claims))
		if want := cameTo(mapperOf(t, test.expressions...).EvalClaimMappings(t.Context(), claims)); got != want {
			t.Errorf("%s: expected %s, got %s", test.name, want, got)
		}
	}
	if none := withPlainMappers(authenticationcel.CELMapper{}, &apiserver.JWTAuthenticator{}); none != (authenticationcel.CELMapper{}) {
		t.Errorf("expected no mapper where there is no expression, got %+v", none)
	}
}
