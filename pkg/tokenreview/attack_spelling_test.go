package tokenreview_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/reason"
)

// One token has one spelling: what a cache, a log or a list of revoked tokens knows
// it by. Every other spelling is of a token that the issuer has signed, the first two
// segments as they are spelled.
func TestOtherSpellingsOfAToken(t *testing.T) {
	f := newTarget(t)
	// Each segment leaves bits over, and has a character that the two alphabets differ in.
	header := base64url(`{"alg":"RS256","kid":"rsa","x":"???>>>"} `)
	payload := base64url(`{"x":"???>>>",` + goodPayload[1:] + "   ")
	if len(header)%4 == 0 || len(payload)%4 == 0 || !strings.ContainsAny(header, "-_") || !strings.ContainsAny(payload, "-_") {
		t.Fatalf("the segments do not show what they should: %s.%s", header, payload)
	}
	signature := base64url(string(sign(t, f.rsa, header+"."+payload)))
	good := header + "." + payload + "." + signature
	f.accepts(t, good, jane)

	padded := func(s string) string { return s + strings.Repeat("=", (4-len(s)%4)%4) }
	standard := strings.NewReplacer("-", "+", "_", "/").Replace
	var attacks []attack
	for _, change := range []struct {
		name   string
		change func(string) string
	}{
		{"padding", padded},
		{"too much padding", func(s string) string { return s + "====" }},
		{"stray bits at its end", strayBits},
		{"a line break in it", func(s string) string { return s[:8] + "\n" + s[8:] }},
		{"a carriage return in it", func(s string) string { return s[:8] + "\r" + s[8:] }},
		{"line breaks as in PEM", func(s string) string { return s[:16] + "\r\n" + s[16:] }},
		{"a line break at its end", func(s string) string { return s + "\n" }},
		{"a line break at its beginning", func(s string) string { return "\n" + s }},
		{"the standard alphabet", standard},
		{"the standard alphabet and padding", func(s string) string { return standard(padded(s)) }},
		{"a space in it", func(s string) string { return s[:8] + " " + s[8:] }},
		{"a NUL in it", func(s string) string { return s[:8] + "\x00" + s[8:] }},
		{"an octet in percent-encoding", func(s string) string { return fmt.Sprintf("%%%02X%s", s[0], s[1:]) }},
		{"a letter that looks the same", func(s string) string { return strings.Replace(s, "e", "е", 1) }},
		{"a character less than a byte takes", func(s string) string { return s[:len(s)/4*4] + "A" }},
	} {
		if bent := change.change(payload); bent != payload {
			attacks = append(attacks, attack{"a payload with " + change.name, seal(t, f.rsa, header+"."+bent), reason.TokenMalformed, "payload: not base64url without padding", ""})
		}
		attacks = append(attacks,
			attack{"a header with " + change.name, seal(t, f.rsa, change.change(header)+"."+payload), reason.TokenMalformed, "header: not base64url without padding", "main"})
		if bent := change.change(signature); bent != signature {
			attacks = append(attacks, attack{"a signature with " + change.name, header + "." + payload + "." + bent, reason.TokenMalformed, "signature: not base64url without padding", "main"})
		}
	}
	for name, space := range map[string]string{
		"a space": " ", "a line break": "\n", "a Windows line break": "\r\n", "a tab": "\t", "a NUL": "\x00", "a no-break space": "\u00a0",
		"a byte order mark": "\ufeff", "a quote": `"`, "a backslash": `\`, "a comma": ",", "a semicolon": ";", "an equals sign": "=",
	} {
		attacks = append(attacks,
			attack{name + " before the token", space + good, reason.TokenMalformed, "header: not base64url", "main"},
			attack{name + " after the token", good + space, reason.TokenMalformed, "signature: not base64url", "main"})
	}
	attacks = append(attacks,
		attack{"the header's scheme before the token", "Bearer " + good, reason.TokenMalformed, "header: not base64url", "main"},
		attack{"the token with the case of its letters changed", swapCase(good), reason.TokenMalformed, "payload", ""},
		attack{"the token's letters full-width", strings.Replace(good, "e", "ｅ", 1), reason.TokenMalformed, "header: not base64url", "main"})
	f.refuses(t, attacks)
}

// strayBits sets bits of the last character that no byte takes.
func strayBits(segment string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, segment[len(segment)-1])
	return segment[:len(segment)-1] + alphabet[last|1:last|1+1]
}

func swapCase(text string) string {
	return strings.Map(func(r rune) rune {
		if upper := strings.ToUpper(string(r)); upper != string(r) {
			return []rune(upper)[0]
		}
		return []rune(strings.ToLower(string(r)))[0]
	}, text)
}

// RFC 7493, RFC 8725 §2.6: two readers of one token must not read two things. All of
// this the issuer has signed.
func TestJSONThatTwoReadersReadDifferently(t *testing.T) {
	f := newTarget(t)
	const header = `{"alg":"RS256","kid":"rsa"}`
	payload := func(members string) string {
		return forge(t, f.rsa, header, `{`+members+`,`+goodPayload[1:])
	}
	withHeader := func(text string) string { return forge(t, f.rsa, text, goodPayload) }
	const twice, notJSON, after = "a name appears twice", "not a JSON object: error at byte", "there is something after the JSON object"
	attacks := []attack{
		{"sub twice", payload(`"sub":"root"`), reason.TokenMalformed, twice, ""},
		{"sub twice, once escaped", payload(`"\u0073ub":"root"`), reason.TokenMalformed, twice, ""},
		{"iss twice", payload(`"iss":"https://mallory.example"`), reason.TokenMalformed, twice, ""},
		{"iss twice, once escaped", payload(`"i\u0073s":"https://mallory.example"`), reason.TokenMalformed, twice, ""},
		{"exp twice", payload(`"exp":1`), reason.TokenMalformed, twice, ""},
		{"aud twice, once null", payload(`"aud":null`), reason.TokenMalformed, twice, ""},
		{"a claim of nobody's twice", payload(`"x":1,"x":1`), reason.TokenMalformed, twice, ""},
		{"the empty name twice", payload(`"":1,"":2`), reason.TokenMalformed, twice, ""},
		{"a name with a slash twice, once escaped", payload(`"a\/b":1,"a/b":1`), reason.TokenMalformed, twice, ""},
		{"a name twice in an object", payload(`"x":{"a":1,"a":2}`), reason.TokenMalformed, twice, ""},
		{"a name twice deep in a list", payload(`"x":[[{"a":{"b":1,"\u0062":2}}]]`), reason.TokenMalformed, twice, ""},
		{"alg twice", withHeader(`{"alg":"none","alg":"RS256","kid":"rsa"}`), reason.TokenMalformed, twice, "main"},
		{"alg twice, the other way round", withHeader(`{"alg":"RS256","alg":"none","kid":"rsa"}`), reason.TokenMalformed, twice, "main"},
		{"alg twice, once escaped", withHeader(`{"\u0061lg":"none","alg":"RS256","kid":"rsa"}`), reason.TokenMalformed, twice, "main"},
		{"alg twice, once escaped in capitals", withHeader(`{"a\u006Cg":"none","alg":"RS256","kid":"rsa"}`), reason.TokenMalformed, twice, "main"},
		{"kid twice", withHeader(`{"alg":"RS256","kid":"rsa","kid":"any"}`), reason.TokenMalformed, twice, "main"},
		{"a member of nobody's twice", withHeader(`{"alg":"RS256","kid":"rsa","x":1,"x":1}`), reason.TokenMalformed, twice, "main"},
		{"a name twice in a header's object", withHeader(`{"alg":"RS256","kid":"rsa","jwk":{"kty":"RSA","kty":"oct"}}`), reason.TokenMalformed, twice, "main"},

		{"ALG for alg", withHeader(`{"ALG":"RS256","kid":"rsa"}`), reason.TokenMalformed, "no alg", "main"},
		{"Iss for iss", forge(t, f.rsa, header, strings.Replace(goodPayload, `"iss"`, `"Iss"`, 1)), reason.TokenMalformed, "iss: the token has no such claim", ""},
		{"iss with a long s", forge(t, f.rsa, header, strings.Replace(goodPayload, `"iss"`, `"isſ"`, 1)), reason.TokenMalformed, "iss: the token has no such claim", ""},

		{"an object after the payload", forge(t, f.rsa, header, goodPayload+`{}`), reason.TokenMalformed, after, ""},
		{"a brace after the payload", forge(t, f.rsa, header, goodPayload+`}`), reason.TokenMalformed, after, ""},
		{"text after the payload", forge(t, f.rsa, header, goodPayload+"\n"+`x`), reason.TokenMalformed, after, ""},
		{"a NUL after the payload", forge(t, f.rsa, header, goodPayload+"\x00"), reason.TokenMalformed, after, ""},
		{"a NUL before the payload", forge(t, f.rsa, header, "\x00"+goodPayload), reason.TokenMalformed, "not a JSON object", ""},
		{"a byte order mark before the payload", forge(t, f.rsa, header, "\ufeff"+goodPayload), reason.TokenMalformed, "not a JSON object", ""},
		{"an object after the header", withHeader(header + `{}`), reason.TokenMalformed, after, "main"},
		{"a NUL after the header", withHeader(header + "\x00"), reason.TokenMalformed, after, "main"},
		{"a byte order mark before the header", withHeader("\ufeff" + header), reason.TokenMalformed, "header: not a JSON object", "main"},
		{"a payload in UTF-16", forge(t, f.rsa, header, utf16(goodPayload)), reason.TokenMalformed, "not a JSON object", ""},
		{"a header in UTF-16", withHeader(utf16(header)), reason.TokenMalformed, "header: not a JSON object", "main"},
		{"half a payload", forge(t, f.rsa, header, goodPayload[:len(goodPayload)-1]), reason.TokenMalformed, notJSON, ""},
		{"half a header", withHeader(header[:len(header)-1]), reason.TokenMalformed, notJSON, "main"},
	}
	for name, member := range map[string]string{
		"a comment": `"x":1/* */`, "a comma too many": `"x":1,`, "single quotes": `'x':1`, "a name without quotes": `x:1`, "NaN": `"x":NaN`, "Infinity": `"x":-Infinity`,
		"a number in hexadecimal": `"x":0x10`, "a number with a plus": `"x":+1`, "a number with a leading zero": `"x":01`, "a number without its end": `"x":1.`,
		"a line break in text": "\"x\":\"\n\"", "a NUL in text": "\"x\":\"\x00\"", "an escape that is none": `"x":"\x41"`, "half an escape": `"x":"\u00"`,
		"undefined": `"x":undefined`, "True": `"x":True`,
		"a byte that is no UTF-8": "\"x\":\"\xff\"", "such a byte in a name": "\"\xff\":1", "UTF-8 that is cut off": "\"x\":\"\xe2\x82\"", "an overlong slash": "\"x\":\"\xc0\xaf\"",
		"a surrogate in UTF-8": "\"x\":\"\xed\xa0\x80\"", "a code point beyond Unicode": "\"x\":\"\xf4\x90\x80\x80\"",
		"a lone high surrogate": `"x":"\ud800"`, "a lone low surrogate": `"x":"\udc00"`, "surrogates the wrong way round": `"x":"\udc00\ud800"`, "a lone surrogate in a name": `"\ud800":1`,
		"a high surrogate and a letter": `"x":"\ud800a"`, "a lone surrogate deep in a claim": `"x":[{"y":["\udfff"]}]`,
	} {
		attacks = append(attacks,
			attack{name + " in the payload", payload(member), reason.TokenMalformed, "payload: not a JSON object", ""},
			attack{name + " in the header", withHeader(`{"alg":"RS256","kid":"rsa",` + member + `}`), reason.TokenMalformed, "header: not a JSON object", "main"})
	}
	for _, claim := range []string{"iss", "sub", "aud", "exp", "nbf", "iat", "nonce", "at_hash"} {
		spellings := map[string]bool{strings.ToUpper(claim): true, strings.ToUpper(claim[:1]) + claim[1:]: true, strings.Replace(claim, "s", "ſ", 1): true}
		delete(spellings, claim)
		for spelling := range spellings {
			for name, member := range map[string]string{"": `"` + spelling + `":"x"`, " escaped": fmt.Sprintf(`"\u%04x%s":"x"`, []rune(spelling)[0], string([]rune(spelling)[1:]))} {
				attacks = append(attacks, attack{spelling + name + " for " + claim, payload(member), reason.TokenMalformed, fmt.Sprintf("claim %q must be spelled %q", spelling, claim), "main"})
			}
		}
	}
	f.refuses(t, attacks)
}

// utf16 is ASCII text in UTF-16.
func utf16(text string) string { return "\x00" + strings.Join(strings.Split(text, ""), "\x00") }

// What strangers send costs little, and what is large and harmless harms nobody.
func TestEnormousTokens(t *testing.T) {
	f := newTarget(t)
	const header, tooDeep = `{"alg":"RS256","kid":"rsa"}`, "JSON nested more than 64 deep"
	payload := func(members string) string { return forge(t, f.rsa, header, `{`+members+`,`+goodPayload[1:]) }
	many := func(n int) string {
		members := make([]string, n)
		for i := range members {
			members[i] = fmt.Sprintf(`"m%d":%d`, i, i)
		}
		return strings.Join(members, ",")
	}
	var attacks []attack
	for name, nested := range map[string]string{
		"64 lists":                        strings.Repeat("[", 64) + strings.Repeat("]", 64),
		"20000 lists":                     strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000),
		"45000 lists without an end":      strings.Repeat("[", 45_000),
		"64 objects":                      strings.Repeat(`{"":`, 64) + "1" + strings.Repeat("}", 64),
		"8000 objects":                    strings.Repeat(`{"":`, 8_000) + "1" + strings.Repeat("}", 8_000),
		"lists and objects, 64 deep":      strings.Repeat(`[{"":`, 32) + "1" + strings.Repeat("}]", 32),
		"lists and objects, 10000 deep":   strings.Repeat(`[{"":`, 5_000) + "1" + strings.Repeat("}]", 5_000),
		"lists beside text with brackets": `["]]]\"]]",` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `]`,
	} {
		attacks = append(attacks,
			attack{name + " in a claim", payload(`"x":` + nested), reason.TokenMalformed, "payload: " + tooDeep, ""},
			attack{name + " in the header", forge(t, f.rsa, `{"alg":"RS256","x":`+nested+`}`, goodPayload), reason.TokenMalformed, "header: " + tooDeep, "main"})
	}
	stranger := by(f.other, "RS256")
	attacks = append(attacks,
		attack{"3000 claims by a stranger", forge(t, stranger, header, `{`+many(3_000)+`,`+goodPayload[1:]), reason.SignatureInvalid, "has not made", "main"},
		attack{"3000 header members by a stranger", forge(t, stranger, `{`+many(3_000)+`,`+header[1:], goodPayload), reason.SignatureInvalid, "has not made", "main"},
		attack{"3000 claims, the last the same as the first", payload(many(3_000) + `,"m0":0`), reason.TokenMalformed, "twice", ""},
		attack{"40000 bytes of white space by a stranger", forge(t, stranger, header, strings.Repeat(" ", 40_000)+goodPayload), reason.SignatureInvalid, "has not made", "main"},
		attack{"a byte beyond the limit", strings.Repeat("A", issuers.MaxTokenBytes+1), reason.TokenMalformed, "longer than 65536 bytes", ""},
		attack{"a claim beyond the limit", payload(`"x":"` + strings.Repeat("a", issuers.MaxTokenBytes) + `"`), reason.TokenMalformed, "longer than 65536 bytes", ""},
		attack{"a header beyond the limit", forge(t, f.rsa, `{"alg":"RS256","x":"`+strings.Repeat("a", issuers.MaxTokenBytes)+`"}`, goodPayload), reason.TokenMalformed, "longer than 65536 bytes", ""},
		attack{"a signature of 60000 bytes", base64url(header) + "." + base64url(goodPayload) + "." + strings.Repeat("A", 60_000), reason.SignatureInvalid, "has not made", "main"},
		attack{"as long as the limit and no token", strings.Repeat("A", issuers.MaxTokenBytes), reason.TokenMalformed, "not a JWT", ""},
		attack{"a number beyond all others in a claim that is mapped", payload(`"team":1e999`), reason.MappingFailed, "claimMappings.extra", "main"},
		attack{"40000 digits in a claim that is mapped", payload(`"team":` + strings.Repeat("9", 40_000)), reason.MappingFailed, "claimMappings.extra", "main"},
		attack{"40000 digits for exp", forge(t, f.rsa, header, strings.Replace(goodPayload, "4102444800", strings.Repeat("9", 40_000), 1)), reason.TokenMalformed, "exp: the time is out of range", "main"},
		attack{"40000 digits after the point of exp", forge(t, f.rsa, header, strings.Replace(goodPayload, "4102444800", "0."+strings.Repeat("9", 40_000), 1)), reason.Expired, "1970-01-01", "main"},
		attack{"an exponent of 20000 digits for exp", forge(t, f.rsa, header, strings.Replace(goodPayload, "4102444800", "1e"+strings.Repeat("9", 20_000), 1)), reason.TokenMalformed, "exp: the time is out of range", "main"},
		attack{"ten thousand audiences of others", forge(t, f.rsa, header, strings.Replace(goodPayload, `"cluster"`, `[`+strings.Repeat(`"x",`, 9_999)+`"x"]`, 1)), reason.AudienceMismatch, "and 9995 more", "main"},
	)
	f.refuses(t, attacks)

	for name, members := range map[string]string{
		"3000 claims": many(3_000), "a list of 20000 numbers": `"x":[` + strings.Repeat("1,", 19_999) + `1]`, "63 lists": `"x":` + strings.Repeat("[", 63) + strings.Repeat("]", 63),
		"a number beyond all others that nobody reads": `"x":1e999`, "text of 40000 bytes": `"x":"` + strings.Repeat("a", 40_000) + `"`,
	} {
		t.Run("harmless are "+name, func(t *testing.T) { f.accepts(t, payload(members), jane) })
	}
	t.Run("harmless is the longest token", func(t *testing.T) {
		empty := payload(`"x":""`)
		room := base64.RawURLEncoding.DecodedLen(issuers.MaxTokenBytes - len(empty))
		f.accepts(t, payload(`"x":"`+strings.Repeat("a", room-1)+`"`), jane)
	})
}
