package issuers

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
	kjson "sigs.k8s.io/json"

	"tokenreview.dev/webhook/internal/issuertest"
)

const discovered = "https://issuer.example"

// FuzzDiscovery answers for an issuer with any discovery document, key set and
// redirect. Its keys are taken only of a document that names the issuer, to the letter,
// and nothing is asked without TLS.
func FuzzDiscovery(f *testing.F) {
	keys := issuertest.KeySet(issuertest.DerivedKey("key", jwa.ES256))
	for _, document := range []string{
		`{"issuer":"https://issuer.example","jwks_uri":"https://issuer.example/keys"}`,
		`{"issuer":"https://issuer.example","jwks_uri":"https://KEYS.example:8443/%6beys?a=b#c"}`,
		`{"issuer":"https://issuer.example/","jwks_uri":"https://issuer.example/keys"}`,
		`{"issuer":"https://evil.example","jwks_uri":"https://issuer.example/keys"}`,
		`{"issuer":"https://issuer.example","issuer":"x","jwks_uri":"https://issuer.example/keys"}`,
		`{"Issuer":"https://issuer.example","jwks_uri":"https://issuer.example/keys"}`,
		`{"issuer":"https://issuer.example","jwks_uri":"http://issuer.example/keys"}`,
		`{"issuer":"https://issuer.example","jwks_uri":"file:///etc/passwd"}`,
		`{"issuer":"https://issuer.example","jwks_uri":"https:keys"}`,
		`{"issuer":"https://issuer.example","jwks_uri":"https://"}`,
		`{"issuer":"https://issuer.example","jwks_uri":"https://a\u0000b/"}`,
		`{"issuer":"https://issuer.example","jwks_uri":["https://issuer.example/keys"]}`,
		`{"issuer":"https://issuer.example"}`, `[]`, `<html>`, "",
	} {
		f.Add([]byte(document), keys, "", uint16(http.StatusOK), false)
	}
	good := []byte(`{"issuer":"https://issuer.example","jwks_uri":"https://issuer.example/keys"}`)
	f.Add(good, []byte(`{"keys":[]}`), "", uint16(http.StatusOK), false)
	f.Add(good, keys, "", uint16(http.StatusNotFound), false)
	f.Add(good, keys, "", uint16(http.StatusOK), true)
	for _, location := range []string{"/other", "https://other.example/", "http://issuer.example/", "//other.example", "https://a:b@c/", "javascript:alert(1)", ":", "", "https://[::1", "\x00", "https://[" + strings.Repeat("a", 30_000)} {
		f.Add(good, keys, location, uint16(http.StatusFound), false)
		f.Add(good, keys, location, uint16(http.StatusPermanentRedirect), false)
	}
	f.Fuzz(func(t *testing.T, document, keySet []byte, location string, status uint16, endless bool) {
		issuer := &answering{t: t, document: document, keySet: keySet, location: location, status: int(status), endless: endless}
		client := newClient(issuer)
		got, err := discoverySource{client: client, issuer: discovered, address: discovered + wellKnownPath}.fetch(t.Context())
		set := got.set
		if (set == nil) == (err == nil) {
			t.Fatalf("expected keys or an error, got %v and %v", set, err)
		}
		if len(issuer.asked) > 2*(maxRedirects+1) {
			t.Errorf("%d requests: %q", len(issuer.asked), issuer.asked)
		}
		if issuer.most > maxResponseBytes+1 {
			t.Errorf("%d bytes of an answer are read", issuer.most)
		}
		if err != nil {
			expectSaid(t, err.Error(), keySet)
			return
		}
		var said struct {
			Issuer  string `json:"issuer"`
			JWKSURI string `json:"jwks_uri"`
		}
		if err := kjson.UnmarshalCaseSensitivePreserveInts(document, &said); err != nil || said.Issuer != discovered {
			t.Errorf("keys are taken of %q (%v)", said.Issuer, err)
		}
		if !strings.HasPrefix(strings.ToLower(said.JWKSURI), "https://") || endless {
			t.Errorf("keys are taken from %q, without end: %t", said.JWKSURI, endless)
		}
		expectKeys(t, keySet, set)
	})
}

// answering is an issuer without a network. The first request is answered with a status
// and a location, whatever follows with 200: the first that leads nowhere else with the
// discovery document, and those after it with the keys.
type answering struct {
	t                *testing.T
	document, keySet []byte
	location         string
	status           int
	endless          bool

	asked []string
	given bool // the document
	most  int  // bytes read of an answer
}

func (a *answering) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != "https" {
		a.t.Errorf("asked without TLS: %s", request.URL)
	}
	if request.URL.Host == "" {
		return nil, errors.New("no host, says http.Transport as well")
	}
	response := &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: request,
		Header: http.Header{"Content-Type": {"application/json"}},
	}
	data := a.keySet
	if len(a.asked) == 0 && a.status != http.StatusOK {
		response.StatusCode = a.status
		response.Header["Location"] = []string{a.location}
	} else if !a.given {
		a.given, data = true, a.document
	}
	a.asked = append(a.asked, request.URL.String())
	body := &counting{from: a, Reader: strings.NewReader(string(data))}
	if a.endless {
		body.Reader = io.MultiReader(body.Reader, blanks{})
	}
	response.Body = body
	return response, nil
}

// counting is a body that counts what is read of it.
type counting struct {
	io.Reader
	from *answering
	n    int
}

func (a *counting) Read(data []byte) (int, error) {
	n, err := a.Reader.Read(data)
	a.n += n
	a.from.most = max(a.from.most, a.n)
	return n, err
}

func (a *counting) Close() error { return nil }

// blanks never ends.
type blanks struct{}

func (blanks) Read(data []byte) (int, error) {
	for i := range data {
		data[i] = ' '
	}
	return len(data), nil
}
