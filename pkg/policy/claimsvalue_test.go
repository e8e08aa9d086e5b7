package policy

import (
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
	"k8s.io/apiserver/pkg/cel/lazy"

	"tokenreview.dev/webhook/pkg/issuers"
)

// allClaims shows claims to CEL as upstream does: with its own map of all of them.
func allClaims(claims *issuers.Claims) *lazy.MapValue {
	value := lazy.NewMapValue(types.NewObjectType("kubernetes.claims"))
	for name, raw := range claims.All() {
		value.Append(name, func(*lazy.MapValue) ref.Val {
			var native any
			if err := json.Unmarshal(raw, &native); err != nil {
				return types.NewErr("claim %q: %v", name, err)
			}
			return nativeValue(native)
		})
	}
	return value
}

func testClaims(t *testing.T, payload string) *issuers.Claims {
	t.Helper()
	claims, err := issuers.NewClaims([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

// evaluated is what the expressions come to, together and the only one by itself, or the
// error.
func evaluated(t *testing.T, mapper authenticationcel.ClaimsMapper, claims traits.Mapper) string {
	t.Helper()
	all := cameTo(mapper.EvalClaimMappings(t.Context(), claims))
	one, err := mapper.EvalClaimMapping(t.Context(), claims)
	return all + "\n" + cameTo([]authenticationcel.EvaluationResult{one}, err)
}

func cameTo(results []authenticationcel.EvaluationResult, err error) string {
	if err != nil {
		return err.Error()
	}
	var text strings.Builder
	for _, result := range results {
		fmt.Fprintf(&text, "%+v: %s %v; ", result.ExpressionAccessor, result.EvalResult.Type().TypeName(), result.EvalResult.Value())
	}
	return text.String()
}

func mapperOf(t *testing.T, expressions ...authenticationcel.ExpressionAccessor) authenticationcel.ClaimsMapper {
	t.Helper()
	var compiled []authenticationcel.CompilationResult
	for _, expression := range expressions {
		result, err := authenticationcel.NewDefaultCompiler().CompileClaimsExpression(expression)
		if err != nil {
			t.Fatal(err)
		}
		compiled = append(compiled, result)
	}
	return authenticationcel.NewClaimsMapper(compiled)
}

const manyKindsOfClaims = `{"sub":"jane","empty":"","escaped":"\u00e4\n\"","yes":true,"no":false,"nil":null,"number":5,"half":0.5,"huge":1e300,"beyond":1e999,
	"list":["a","b",{"c.d":1}],"none":[],"object":{"a.b":{"c/d":"deep"},"e":"f","list":[1,2]},"kubernetes.io":{"namespace":"ci"},"a__b":"underscores","x.y":"dotted","namespace":"reserved","":"nameless"}`

func TestExpressionsSeeTheClaimsThatUpstreamShowsThem(t *testing.T) {
	for _, expression := range []string{
		`claims.sub`, `claims.empty`, `claims.escaped`, `claims.yes`, `claims.no`, `claims.nil`, `claims.number`, `claims.half`, `claims.huge`, `claims.beyond`, `has(claims.beyond)`, `claims.list`, `claims.none`,
		`claims.object`, `claims.missing`, `claims["sub"]`, `claims["missing"]`, `claims["x.y"]`, `claims.x__dot__y`, `claims["x__dot__y"]`, `claims.a__b`, `claims.a__underscores__b`,
		`claims.kubernetes__dot__io.__namespace__`, `claims.kubernetes__dot__io.namespace`, `claims.__namespace__`, `claims["__nothing__"]`, `claims[""]`, `claims.object.a__dot__b.c__slash__d`,
		`claims.object["a.b"]["c/d"]`, `claims.list[2].c__dot__d`, `claims.list[5]`, `claims.sub.x`,
		`has(claims.sub)`, `has(claims.missing)`, `has(claims.nil)`, `has(claims.x__dot__y)`, `has(claims.object.e)`, `claims.?sub.orValue("none")`, `claims.?missing.orValue("none")`,
		`claims[?"missing"].orValue("none")`, `claims.?object.?e.orValue("none")`,
		`claims.sub + ":" + claims.sub`, `claims.number == 5.0`, `claims.number + claims.half`, `claims.yes && !claims.no`, `claims.nil == null`, `claims.sub == claims.missing`,
		`"sub" in claims`, `"b" in claims.list`, `"e" in claims.object`, `size(claims.list)`, `size(claims.object)`, `size(claims)`, `type(claims)`, `type(claims) == type(claims.object)`,
		`claims == claims`, `claims == claims.object`, `claims.object == claims`, `claims.object == claims.object`, `claims != claims`, `dyn(claims).sub`, `dyn(claims) == 5`, `[claims][0].sub`,
		`{"all": claims}.all.sub`, `[claims, claims].all(c, c.sub == "jane")`, `claims in [claims]`, `claims in [dyn(1), dyn(claims.object)]`, `dyn(claims) in [dyn(1), dyn(claims)]`,
		`claims.exists(c, c == "jane")`, `claims.all(c, c == "jane")`, `claims.filter(c, c == "jane")`, `claims.map(c, type(c) == string)`, `claims.map(c, c).size()`,
		`dyn(claims.list).filter(c, type(c) == string).map(c, c + "!")`, `string(dyn(claims))`, `claims.map(k, claims[k])`, `claims[dyn(5)]`, `has(dyn(claims).sub)`, `claims[dyn(true)]`, `dyn(claims)[?5]`, `claims[claims.sub]`, `claims[claims.number]`,
	} {
		t.Run(expression, func(t *testing.T) {
			mapper := mapperOf(t, &authenticationcel.ClaimMappingExpression{Expression: expression})
			claims := testClaims(t, manyKindsOfClaims)
			ours := &claimsValue{claims: claims}
			want := evaluated(t, mapper, allClaims(claims))
			// Another expression reads what this one has read, and one more after many.
			for _, finds := range []int{0, 1, fewFinds} {
				ours.finds = finds
				if got := evaluated(t, mapper, ours); got != want {
					t.Errorf("expected %s, got %s", want, got)
				}
			}
		})
	}
}

// What no expression gets at is as it is upstream, too.
func TestClaimsAreTheMapThatUpstreamHas(t *testing.T) {
	claims := testClaims(t, manyKindsOfClaims)
	ours, theirs := &claimsValue{claims: claims}, allClaims(claims)
	if ours.Size() != theirs.Size() {
		t.Errorf("expected the size %v, got %v", theirs.Size(), ours.Size())
	}
	same := func(what string, got, want any) {
		t.Helper()
		if got, want := fmt.Sprint(got), fmt.Sprint(want); got != want {
			t.Errorf("%s: expected %s, got %s", what, want, got)
		}
	}
	for _, key := range []ref.Val{types.String("sub"), types.String("missing"), types.String("x__dot__y"), types.String("__no__"), types.Int(5), types.NullValue} {
		same(fmt.Sprintf("Contains %v", key), ours.Contains(key), theirs.Contains(key))
		same(fmt.Sprintf("Get %v", key), ours.Get(key), theirs.Get(key))
		value, found := ours.Find(key)
		wanted, want := theirs.Find(key)
		same(fmt.Sprintf("Find %v", key), []any{value, found}, []any{wanted, want})
	}
	for a, b := ours.Iterator(), theirs.Iterator(); a.HasNext() == types.True || b.HasNext() == types.True; {
		same("Next", a.HasNext(), b.HasNext())
		same("Next", a.Next().Value(), b.Next().Value())
	}
	_, got := ours.ConvertToNative(reflect.TypeFor[map[string]any]())
	_, want := theirs.ConvertToNative(reflect.TypeFor[map[string]any]())
	same("ConvertToNative", got, want)
	same("ConvertToType", ours.ConvertToType(types.TypeType), theirs.ConvertToType(types.TypeType))
	same("ConvertToType", ours.ConvertToType(types.MapType), theirs.ConvertToType(types.MapType))
	same("Type", ours.Type(), theirs.Type())
	same("Value", ours.Value(), theirs.Value())
	same("Equal", ours.Equal(ours), theirs.Equal(theirs))
	same("Equal", ours.Equal(&claimsValue{claims: claims}), theirs.Equal(allClaims(claims)))
	same("Equal", ours.Equal(types.String("")), theirs.Equal(types.String("")))
}

// An expression with a loop reads a claim as often as the token wants it to.
func TestAClaimThatIsReadOverAndOverIsNotDecodedEachTime(t *testing.T) {
	const times, long = 1000, 40_000
	for name, claim := range map[string]string{
		"text":   `"` + strings.Repeat("x", long) + `"`,
		"a list": `[` + strings.Repeat(`"x",`, long/4) + `"x"]`,
	} {
		t.Run(name, func(t *testing.T) {
			claims := &claimsValue{claims: testClaims(t, `{"long":`+claim+`}`)}
			key := ref.Val(types.String("long"))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range times {
				if value, found := claims.Find(key); !found || types.IsUnknownOrError(value) {
					t.Fatalf("expected the claim, got %.20v, %v", value, found)
				}
			}
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > times*long/3 {
				t.Errorf("expected %d reads of %d bytes to take up less than a third of them, got %d", times, long, took)
			}
		})
	}
}
