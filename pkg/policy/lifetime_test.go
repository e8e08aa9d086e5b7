package policy_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/policy"
	"tokenreview.dev/webhook/pkg/reason"
)

func TestMaxLifetime(t *testing.T) {
	const now = 2000
	p := compiled(t, policy.Config{
		Policy: v1alpha1.IssuerPolicySpec{Token: v1alpha1.Token{MaxLifetime: &metav1.Duration{Duration: time.Hour}}},
		Now:    func() time.Time { return time.Unix(now, 0) },
	})
	for _, test := range []struct {
		name, claims string
		code         reason.Code
		text         string
	}{
		{"as long as is allowed", `{"sub":"jane","iat":1000,"exp":4600}`, "", ""},
		{"a second longer", `{"sub":"jane","iat":1000,"exp":4601}`, reason.LifetimeTooLong, "the token is valid for 1h0m1s (exp - iat), and token.maxLifetime is 1h0m0s"},
		{"fractions of a second are cut off", `{"sub":"jane","iat":1000.9,"exp":4600.1}`, "", ""},
		{"without iat nobody knows", `{"sub":"jane","exp":4600}`, reason.LifetimeTooLong, "does not say when it was issued (iat)"},
		{"an iat that is null is none", `{"sub":"jane","iat":null,"exp":4600}`, reason.LifetimeTooLong, "does not say when it was issued (iat)"},
		{"without exp it never ends", `{"sub":"jane","iat":1000}`, reason.LifetimeTooLong, "does not say when it expires (exp)"},
		{"issued a minute ahead, by another clock", `{"sub":"jane","iat":2060,"exp":5660}`, "", ""},
		{"issued more than a minute ahead, and over within the limit", `{"sub":"jane","iat":2061,"exp":5600}`, "", ""},
		{"issued ahead, and good for longer from now", `{"sub":"jane","iat":2061,"exp":5601}`, reason.LifetimeTooLong, "the token is valid for 1h0m1s (from now, as its iat lies ahead), and token.maxLifetime is 1h0m0s"},
		{"issued in ten years, for an hour", `{"sub":"jane","iat":315362000,"exp":315365600}`, reason.LifetimeTooLong, "its iat lies ahead"},
		{"issued after it expires", `{"sub":"jane","iat":9000,"exp":5601}`, reason.LifetimeTooLong, "its iat lies ahead"},
	} {
		t.Run(test.name, func(t *testing.T) {
			decide(t, p, test.claims).expect(t, test.code, test.text)
		})
	}
	if detail := decide(t, p, `{"sub":"jane","iat":1000,"exp":1060}`).step("token.maxLifetime").Detail; detail != "1m0s of at most 1h0m0s" {
		t.Errorf("expected the trace to say how long it is valid, got %q", detail)
	}
}
