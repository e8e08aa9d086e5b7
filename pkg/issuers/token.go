package issuers

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
)

// MaxTokenBytes is the longest token that is looked at. Tokens of real issuers
// stay below 16 KiB; kube-apiserver itself accepts headers up to 1 MiB.
const MaxTokenBytes = 64 << 10

// base64url decodes the segments of a JWS (RFC 7515 §2: no padding). Strict, so
// that one token has one spelling: without it, unused trailing bits could vary.
var base64url = base64.RawURLEncoding.Strict()

// untrustedToken is a JWS in compact serialization (RFC 7515 §3.1), taken apart
// and not proven to come from anybody.
type untrustedToken struct {
	header       string // still encoded
	claims       *Claims
	signingInput string
	signature    string // still encoded
}

// signingInput is room for what a token's signature is of (RFC 7515 §5.2, step 8), used by
// one token after another. Nobody may keep a part of it.
type signingInput []byte

// signingInputs are those that nobody uses now.
var signingInputs = sync.Pool{New: func() any { return new(signingInput) }}

// maxKeptInput is the length in bytes of the longest that is used again.
const maxKeptInput = 16 << 10

// of is that of a token.
func (s *signingInput) of(token untrustedToken) []byte {
	*s = append((*s)[:0], token.signingInput...)
	return *s
}

// release leaves the room to others. It is wiped: a token does not wait in it for the next.
func (s *signingInput) release() {
	if cap(*s) > maxKeptInput {
		return
	}
	clear(*s)
	signingInputs.Put(s)
}

// parseToken takes a token apart without believing it. Its cost is linear in the
// token's length and bounded by MaxTokenBytes.
func parseToken(token string) (untrustedToken, error) {
	switch {
	case token == "":
		return untrustedToken{}, errors.New("the token is empty")
	case len(token) > MaxTokenBytes:
		return untrustedToken{}, fmt.Errorf("the token is longer than %d bytes", MaxTokenBytes)
	case token[0] == '{':
		return untrustedToken{}, errors.New("the token is in JSON serialization; only the compact one is accepted")
	}
	switch strings.Count(token, ".") {
	case 2:
	case 4:
		return untrustedToken{}, errors.New("the token is encrypted (JWE); configure the issuer to sign tokens and not to encrypt them")
	default:
		return untrustedToken{}, errors.New("the token is not a JWT")
	}
	header, rest, _ := strings.Cut(token, ".")
	encodedPayload, signature, _ := strings.Cut(rest, ".")
	payload, err := decodeSegment(encodedPayload)
	if err != nil {
		return untrustedToken{}, fmt.Errorf("payload: %w", err)
	}
	claims, err := parseClaims(payload)
	if err != nil {
		return untrustedToken{}, fmt.Errorf("payload: %w", err)
	}
	return untrustedToken{
		header:       header,
		claims:       claims,
		signingInput: token[:len(header)+1+len(encodedPayload)],
		signature:    signature,
	}, nil
}

// decodeSegment decodes one base64url segment in its only spelling.
func decodeSegment(segment string) ([]byte, error) {
	// The decoder of the standard library skips line breaks.
	if strings.IndexByte(segment, '\r') >= 0 || strings.IndexByte(segment, '\n') >= 0 {
		return nil, errors.New("not base64url without padding")
	}
	data, err := base64url.DecodeString(segment)
	if err != nil {
		return nil, errors.New("not base64url without padding")
	}
	return data, nil
}

// untrustedHeader is what a token says of its own signature. It only ever
// narrows the choice among the keys and algorithms that the configuration allows.
// jwk, jku, x5u and x5c are never read (RFC 8725 §3.10).
type untrustedHeader struct {
	algorithm string
	keyID     string
}

// parseHeader reads the protected header of a JWS (RFC 7515 §4.1).
func parseHeader(segment string) (untrustedHeader, error) {
	data, err := decodeSegment(segment)
	if err != nil {
		return untrustedHeader{}, fmt.Errorf("header: %w", err)
	}
	var header untrustedHeader
	err = eachMember(data, func(quoted, value part) error {
		var err error
		name := unquoted(quoted.of(data))
		switch string(name) {
		case "alg":
			header.algorithm, err = decodeString(value.of(data))
		case "kid":
			header.keyID, err = decodeString(value.of(data))
		case "crit":
			// RFC 7515 §4.1.11: not understood means refused. We understand none.
			err = errors.New("critical header parameters are not supported")
		case "b64":
			err = errors.New("unencoded payloads (RFC 7797) are not supported")
		}
		if err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
		return nil
	})
	if err != nil {
		return untrustedHeader{}, fmt.Errorf("header: %w", err)
	}
	if header.algorithm == "" {
		return untrustedHeader{}, errors.New("header: it has no alg")
	}
	return header, nil
}

// headers parses headers, and remembers the one that the last proven token had: all that
// are signed with one key have the same. It is safe for concurrent use.
type headers struct{ last atomic.Pointer[parsedHeader] }

type parsedHeader struct {
	segment string
	header  untrustedHeader
}

// parse is parseHeader.
func (h *headers) parse(segment string) (untrustedHeader, error) {
	if last := h.last.Load(); last != nil && last.segment == segment {
		return last.header, nil
	}
	return parseHeader(segment)
}

// proven remembers the header of a token whose signature is verified, unless it is long.
// Those of others are not: whoever makes up tokens pushes out none.
func (h *headers) proven(segment string, header untrustedHeader) {
	if last := h.last.Load(); len(segment) > maxKeptHeader || last != nil && last.segment == segment {
		return
	}
	h.last.Store(&parsedHeader{segment: strings.Clone(segment), header: header})
}

// maxKeptHeader is the length in bytes of the longest header that is remembered.
const maxKeptHeader = 1 << 10
