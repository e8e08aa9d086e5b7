package policy

import (
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/lazy"
)

// newUserValue shows a user to CEL as the variable `user`.
func newUserValue(u *user.DefaultInfo) *lazy.MapValue {
	value := lazy.NewMapValue(types.NewObjectType("kubernetes.UserInfo"))
	field := func(name string, native any) {
		value.Append(name, func(*lazy.MapValue) ref.Val { return nativeValue(native) })
	}
	field("username", u.Name)
	field("uid", u.UID)
	field("groups", u.Groups)
	field("extra", u.Extra)
	return value
}

func nativeValue(native any) ref.Val {
	return unescaping(types.DefaultTypeAdapter.NativeToValue(native))
}

// unescaping makes a map, and every map within, understand the escapes that let
// CEL name any member as a field: `claims.kubernetes__dot__io` is the claim
// "kubernetes.io". The outermost map, lazy.MapValue, does so by itself.
func unescaping(value ref.Val) ref.Val {
	switch value := value.(type) {
	case traits.Mapper:
		return unescapingMap{value}
	case traits.Lister:
		return unescapingList{value}
	default:
		return value
	}
}

type unescapingMap struct{ traits.Mapper }

func (m unescapingMap) Find(key ref.Val) (ref.Val, bool) {
	if escaped, ok := key.(types.String); ok {
		if name, ok := unescape(string(escaped)); ok {
			key = types.String(name)
		}
	}
	value, found := m.Mapper.Find(key)
	return unescaping(value), found
}

type unescapingList struct{ traits.Lister }

func (l unescapingList) Get(index ref.Val) ref.Val { return unescaping(l.Lister.Get(index)) }

// unescape is cel.Unescape, which takes its time even where there is nothing to do.
func unescape(name string) (string, bool) {
	if !strings.Contains(name, "__") {
		return name, true
	}
	return cel.Unescape(name)
}
