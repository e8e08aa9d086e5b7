package policy

import (
	"encoding/json"
	"reflect"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"k8s.io/apiserver/pkg/cel/lazy"

	"tokenreview.dev/webhook/pkg/issuers"
)

// claimsValue shows claims to CEL as the variable `claims`. It is upstream's lazy.MapValue
// of all claims; but expressions read few of them, by name, and only those cost something
// here. It is for one decision, and not safe for concurrent use.
type claimsValue struct {
	claims *issuers.Claims
	// read are the claims that were read, by name.
	read map[string]ref.Val
	// upstream is nil until an expression does something else with the claims.
	upstream *lazy.MapValue
}

var _ traits.Mapper = (*claimsValue)(nil)

func newClaimsValue(claims *issuers.Claims) *claimsValue {
	return &claimsValue{claims: claims, read: make(map[string]ref.Val)}
}

// Find returns a claim by its name, in which escapes stand for what has no place in a
// name of CEL's.
func (v *claimsValue) Find(key ref.Val) (ref.Val, bool) {
	escaped, ok := key.(types.String)
	if !ok {
		return v.whole().Find(key)
	}
	name, ok := unescape(string(escaped))
	if !ok || !v.claims.Has(name) {
		return nil, false
	}
	return v.claim(name), true
}

// Get returns a claim as Find does, or an error.
func (v *claimsValue) Get(key ref.Val) ref.Val {
	value, found := v.Find(key)
	if !found {
		return v.whole().Get(key)
	}
	return value
}

// claim decodes a claim that the token has, numbers as doubles, as upstream does.
func (v *claimsValue) claim(name string) ref.Val {
	value, ok := v.read[name]
	if !ok {
		value = decoded(v.claims, name)
		v.read[name] = value
	}
	return value
}

func decoded(claims *issuers.Claims, name string) ref.Val {
	raw, _ := claims.Get(name)
	if raw.Kind() == '"' {
		if text, err := claims.String(name); err == nil {
			return types.String(text)
		}
	}
	var native any
	if err := json.Unmarshal(raw, &native); err != nil {
		return types.NewErr("claim %q: %v", name, err)
	}
	return nativeValue(native)
}

// whole is the claims as upstream has them.
func (v *claimsValue) whole() *lazy.MapValue {
	if v.upstream == nil {
		v.upstream = lazy.NewMapValue(types.NewObjectType("kubernetes.claims"))
		for name := range v.claims.All() {
			v.upstream.Append(name, func(*lazy.MapValue) ref.Val { return v.claim(name) })
		}
	}
	return v.upstream
}

// What expressions seldom do is for upstream's map to say.

// Contains reports whether there is a claim of that name.
func (v *claimsValue) Contains(key ref.Val) ref.Val { return v.whole().Contains(key) }

// Iterator goes through the claims.
func (v *claimsValue) Iterator() traits.Iterator { return v.whole().Iterator() }

// Size is how many claims there are.
func (v *claimsValue) Size() ref.Val { return v.whole().Size() }

// ConvertToNative is an error.
func (v *claimsValue) ConvertToNative(to reflect.Type) (any, error) {
	return v.whole().ConvertToNative(to)
}

// ConvertToType knows the type of types alone.
func (v *claimsValue) ConvertToType(to ref.Type) ref.Val { return v.whole().ConvertToType(to) }

// Equal reports whether other are these claims.
func (v *claimsValue) Equal(other ref.Val) ref.Val {
	if same, ok := other.(*claimsValue); ok {
		return types.Bool(v == same)
	}
	return v.whole().Equal(other)
}

// Type is that of an object.
func (v *claimsValue) Type() ref.Type { return v.whole().Type() }

// Value is an error.
func (v *claimsValue) Value() any { return v.whole().Value() }
