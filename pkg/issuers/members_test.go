package issuers

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"weak"

	"github.com/go-json-experiment/json/jsontext"
)

// said is the claims of a payload, or why there are none.
func said(payload string) string {
	claims, err := NewClaims([]byte(payload))
	if err != nil {
		return err.Error()
	}
	return listed(claims)
}

func listed(claims *Claims) string {
	var all []string
	for name, value := range claims.All() {
		got, ok := claims.Get(name)
		if !ok || string(got) != string(value) {
			return fmt.Sprintf("%q is %s, and by its name %s", name, value, got)
		}
		all = append(all, name+"="+string(value))
	}
	return strings.Join(all, " ")
}

// What reads claims reads one token after the other, whatever became of the one before.
func TestClaimsAreThoseOfTheirOwnToken(t *testing.T) {
	many := func(n int, more string) string {
		var members strings.Builder
		for i := range n {
			fmt.Fprintf(&members, `"m%d":%d,`, i, i)
		}
		return "{" + members.String() + more + "}"
	}
	deep := func(n int) string { return `{"a":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + "}" }
	tests := []struct{ name, payload, want string }{
		{"one claim", `{"a":1}`, "a=1"},
		{"no claims", `{}`, ""},
		{"the same claim, of another token", `{"a":2,"b":[{"a":3}]}`, `a=2 b=[{"a":3}]`},
		{"a claim twice", `{"a":1,"b":2,"a":3}`, "a name appears twice in a JSON object"},
		{"a claim twice after many", many(100, `"m7":0`), "a name appears twice in a JSON object"},
		{"a name twice in an object", `{"a":{"b":1,"b":2}}`, "a name appears twice in a JSON object"},
		{"a member cut off in an object", `{"a":{"b":1,"c`, "not a JSON object: error at byte 14"},
		{"cut off in a list", `{"a":[[[1`, "not a JSON object: error at byte 9"},
		{"something after it", `{"a":1}{`, "there is something after the JSON object"},
		{"a list", `["a"]`, "not a JSON object"},
		{"nothing", ``, "not a JSON object"},
		{"names and text with escapes", `{"\u0061\n":"\u0062","c":"\"","\"":1,"d\\":2}`, "a\n=\"\\u0062\" c=\"\\\"\" \"=1 d\\=2"},
		{"as deep as may be", deep(64), "a=" + deep(64)[5:len(deep(64))-1]},
		{"as deep as may be, beside others", `{"b":[],` + deep(64)[1:], "b=[] a=" + deep(64)[5:len(deep(64))-1]},
		{"one deeper", deep(65), "JSON nested more than 64 deep"},
		{"spaces between", " { \"a\" :\t1 ,\n\"b\" : [ 1 , 2 ] } ", "a=1 b=[ 1 , 2 ]"},
	}
	var readers sync.WaitGroup
	defer readers.Wait()
	for range 4 {
		readers.Go(func() {
			for range 50 {
				for _, test := range tests {
					if got := said(test.payload); got != test.want {
						t.Errorf("%s: expected %q, got %q", test.name, test.want, got)
					}
				}
			}
		})
	}
}

func TestClaimsWithAnotherOne(t *testing.T) {
	for _, test := range []struct{ name, payload, claim, value, want string }{
		{"a new one", `{"a":1}`, "b", `[2]`, "a=1 b=[2]"},
		{"in place of one", `{"a":1,"b":2,"c":3}`, "b", `"x"`, `a=1 c=3 b="x"`},
		{"in place of one with an escape in its name", `{"a":1,"\u0062":2}`, "b", `3`, "a=1 b=3"},
		{"beside names with escapes", `{"\u0061":1,"a\n":2}`, "b", `3`, "a=1 a\n=2 b=3"},
		{"to none", `{}`, "b", `{}`, "b={}"},
		{"without a name", `{"a":1}`, "", `2`, "a=1 =2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before, err := NewClaims([]byte(test.payload))
			if err != nil {
				t.Fatal(err)
			}
			first := listed(before)
			with := before.With(test.claim, jsontext.Value(test.value))
			again := with.With("z", jsontext.Value("0"))
			if got := listed(with); got != test.want {
				t.Errorf("expected %q, got %q", test.want, got)
			}
			if got, want := listed(again), test.want+" z=0"; got != want {
				t.Errorf("expected %q, got %q", want, got)
			}
			if listed(before) != first {
				t.Errorf("expected the claims themselves to stay %q, got %q", first, listed(before))
			}
		})
	}
}

// What a caller goes on to write after a payload is nothing to its claims, nor they to that.
func TestClaimsWriteNothingAfterTheirPayload(t *testing.T) {
	const payload, behind = `{"\u0061":1}`, "what comes behind it in the same buffer"
	buffer := []byte(payload + behind)
	claims, err := NewClaims(buffer[:len(payload)])
	if err != nil {
		t.Fatal(err)
	}
	if string(buffer) != payload+behind {
		t.Errorf("expected what comes after the payload to stay, got %q", buffer)
	}
	copy(buffer[len(payload):], "XXXXXXXX")
	if got := listed(claims); got != "a=1" {
		t.Errorf("expected a=1, got %q", got)
	}
}

// What reads claims goes on to the next token, and must not keep this one until it comes.
func TestNothingOfAPayloadIsKeptWhenItHasBeenRead(t *testing.T) {
	for name, payload := range map[string]string{
		"claims":          `{"sub":"` + strings.Repeat("x", 1000) + `"}`,
		"a list":          `{"aud":["` + strings.Repeat("x", 1000) + `"]}`,
		"what is no JSON": `{"sub":"` + strings.Repeat("x", 1000),
	} {
		t.Run(name, func(t *testing.T) {
			read := func() weak.Pointer[byte] {
				data := []byte(payload)
				if claims, err := NewClaims(data); err == nil {
					_, _ = claims.Strings("aud")
				}
				return weak.Make(&data[0])
			}
			kept := read()
			runtime.GC()
			if kept.Value() != nil {
				t.Error("expected the payload to be garbage")
			}
		})
	}
}

// Whoever puts something behind a value writes it elsewhere.
func TestClaimsStayWhenAValueIsAppendedTo(t *testing.T) {
	claims, err := NewClaims([]byte(`{"a":1,"b":2}`))
	if err != nil {
		t.Fatal(err)
	}
	value, _ := claims.Get("a")
	if longer := append(value, "0000000"...); string(longer) != "10000000" || listed(claims) != "a=1 b=2" {
		t.Errorf("expected 10000000 beside a=1 b=2, got %s beside %s", longer, listed(claims))
	}
}

func TestClaimsAreFoundByTheBeginningOfTheirNames(t *testing.T) {
	claims, err := NewClaims([]byte(`{"groups":1,"gro\u0075ps:src1":2,"x":"roles:"}`))
	if err != nil {
		t.Fatal(err)
	}
	for prefix, want := range map[string]bool{"": true, "g": true, "groups:src": true, "groups:src1": true, "groups:src12": false, "roups": false, "roles": false, "Groups": false} {
		if claims.HasPrefix(prefix) != want {
			t.Errorf("%q: expected %v", prefix, want)
		}
	}
}
