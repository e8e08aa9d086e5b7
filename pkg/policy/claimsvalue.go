package policy

import (
	"encoding/json"
	"reflect"

	"github.com/go-json-experiment/json/jsontext"
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
	// decoded are the claims that were read, by name, but for texts: to read one again
	// costs less than to remember it.
	decoded map[string]ref.Val
	// finds is how often a claim was looked for.
	finds int
	// upstream is nil until an expression does something else with the claims.
	upstream *lazy.MapValue
}

var _ traits.Mapper = (*claimsValue)(nil)

// fewFinds are more than expressions without a loop have. One with a loop can look for a
// claim as often as a token has it: upstream's map does not go through all claims for each,
// and remembers long texts, too.
const fewFinds = 32

// Find returns a claim by its name, in which escapes stand for what has no place in a
// name of CEL's.
func (v *claimsValue) Find(key ref.Val) (ref.Val, bool) {
	escaped, ok := key.(types.String)
	if v.finds++; !ok || v.finds > fewFinds {
		return v.whole().Find(key)
	}
	name, ok := unescape(string(escaped))
	if !ok {
		return nil, false
	}
	raw, ok := v.claims.Get(name)
	if !ok {
		return nil, false
	}
	return v.decode(name, raw), true
}

// Get returns a claim as Find does, or an error.
func (v *claimsValue) Get(key ref.Val) ref.Val {
	value, found := v.Find(key)
	if !found {
		return v.whole().Get(key)
	}
	return value
}

// decode decodes a claim, numbers as doubles, as upstream does.
func (v *claimsValue) decode(name string, raw jsontext.Value) ref.Val {
	if raw.Kind() == '"' {
		var room [256]byte
		if text, err := jsontext.AppendUnquote(room[:0], raw); err == nil {
			return types.String(text)
		}
	}
	value, ok := v.decoded[name]
	if !ok {
		value = decoded(name, raw)
		if v.decoded == nil {
			v.decoded = make(map[string]ref.Val)
		}
		v.decoded[name] = value
	}
	return value
}

func decoded(name string, raw jsontext.Value) ref.Val {
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
		for name, raw := range v.claims.All() {
			v.upstream.Append(name, func(*lazy.MapValue) ref.Val { return v.decode(name, raw) })
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
