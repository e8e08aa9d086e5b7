package tokenreview_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tokenreview.dev/webhook/pkg/config"
)

func TestWhoMayUseWhichEndpoint(t *testing.T) {
	named := pkix.Name{CommonName: "jane", Organization: []string{"security", "staff"}}
	for _, test := range []struct {
		name, spec                string
		subject                   pkix.Name
		uris                      []string
		authenticate, tokenReview int
	}{
		{"by default auditors may use both", "", pkix.Name{CommonName: "a", Organization: []string{"tokenreview:auditors"}}, nil, 200, 200},
		{"by default nobody else is an auditor", "", pkix.Name{CommonName: "tokenreview:auditors", Organization: []string{"tokenreview:auditor", "system:masters"}}, nil, 200, 403},
		{"a common name", "callers: {tokenreview: [{commonName: jane}]}", named, nil, 200, 200},
		{"another common name", "callers: {tokenreview: [{commonName: Jane}]}", named, nil, 200, 403},
		{"one of the organizations", "callers: {tokenreview: [{organization: staff}]}", named, nil, 200, 200},
		{"an organization that is part of one", "callers: {tokenreview: [{organization: staf}]}", named, nil, 200, 403},
		{"a URI", "callers: {tokenreview: [{uri: 'spiffe://example.com/jane'}]}", named, []string{"spiffe://example.com/x", "spiffe://example.com/jane"}, 200, 200},
		{"another URI", "callers: {tokenreview: [{uri: 'spiffe://example.com/jane'}]}", named, []string{"spiffe://example.com/jane/"}, 200, 403},
		{"a common name that is somebody's URI", "callers: {tokenreview: [{uri: 'spiffe://example.com/jane'}]}", pkix.Name{CommonName: "spiffe://example.com/jane"}, nil, 200, 403},
		{"every field of a rule must match", "callers: {tokenreview: [{commonName: jane, organization: admins}]}", named, nil, 200, 403},
		{"any rule suffices", "callers: {tokenreview: [{commonName: joe}, {commonName: jane, organization: security}]}", named, nil, 200, 200},
		{"rules of one's own replace the default", "callers: {tokenreview: [{commonName: joe}]}", pkix.Name{Organization: []string{"tokenreview:auditors"}}, nil, 200, 403},
		{"an empty list is nobody", "callers: {tokenreview: []}", pkix.Name{Organization: []string{"tokenreview:auditors"}}, nil, 200, 403},
		{"the API server's endpoint can be for it alone", "callers: {authenticate: [{commonName: kube-apiserver}]}", pkix.Name{CommonName: "a", Organization: []string{"tokenreview:auditors"}}, nil, 403, 200},
		{"and is then for it", "callers: {authenticate: [{commonName: kube-apiserver}]}", pkix.Name{CommonName: "kube-apiserver"}, nil, 200, 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := startAudited(t, test.spec, "")
			certificate := s.certificate(t, test.subject, test.uris...)
			for path, want := range map[string]int{"/authenticate": test.authenticate, "/tokenreview": test.tokenReview} {
				answer := s.ask(certificate, path, s.sign(nil))
				if answer.Code != want {
					t.Errorf("%s: expected %d, got %d: %s", path, want, answer.Code, answer.Body)
				}
				if text := "may not use " + path + ": spec.callers." + path[1:]; want == http.StatusForbidden && !strings.Contains(answer.Body.String(), text) {
					t.Errorf("expected %q in %s", text, answer.Body)
				}
				if answer := s.ask(nil, path, s.sign(nil)); answer.Code != http.StatusUnauthorized {
					t.Errorf("%s without a certificate: got %d", path, answer.Code)
				}
			}
		})
	}
}

func TestPermissionsOfAChangedConfigurationHoldOnOpenConnections(t *testing.T) {
	s := startAudited(t, "", "")
	open := s.callers.ConnContext(t.Context(), nil)
	ask := func() int {
		request := httptest.NewRequestWithContext(open, http.MethodPost, "/tokenreview", strings.NewReader(review("authentication.k8s.io/v1", s.sign(nil))))
		request.Header.Set("Content-Type", "application/json")
		request.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{s.auditor(t)}}
		recorder := httptest.NewRecorder()
		s.callers.Wrap(s.handler).ServeHTTP(recorder, request)
		return recorder.Code
	}
	if code := ask(); code != http.StatusOK {
		t.Fatalf("got %d", code)
	}
	loaded, err := config.Parse("webhook.yaml", []byte(configurationOf(s.issuer, "callers: {tokenreview: []}", "")))
	if err != nil {
		t.Fatal(err)
	}
	rules, err := loaded.Build(s.reviewer.Rules(), config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.reviewer.Use(rules)
	if code := ask(); code != http.StatusForbidden {
		t.Errorf("got %d", code)
	}
}

// What --insecure-allow-any-caller serves: certificates are shown, and not checked.
func TestWhereNobodyIsProvenNobodyIsAnAuditor(t *testing.T) {
	for _, test := range []struct {
		spec, path string
		code       int
	}{
		{"", "/authenticate", 200},
		{"", "/tokenreview", 403},
		{"callers: {authenticate: [{commonName: auditor}]}", "/authenticate", 403},
	} {
		s := startAudited(t, test.spec, "")
		request := httptest.NewRequest(http.MethodPost, test.path, strings.NewReader(review("authentication.k8s.io/v1", s.sign(nil))))
		request.Header.Set("Content-Type", "application/json")
		request.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{s.auditor(t)}}
		recorder := httptest.NewRecorder()
		s.handler.ServeHTTP(recorder, request)
		if recorder.Code != test.code {
			t.Errorf("%s with {%s}: expected %d, got %d: %s", test.path, test.spec, test.code, recorder.Code, recorder.Body)
		}
	}
}
