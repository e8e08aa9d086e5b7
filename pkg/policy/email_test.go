package policy_test

import (
	"testing"

	"k8s.io/apiserver/pkg/apis/apiserver"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/policy"
	"tokenreview.dev/webhook/pkg/reason"
)

func TestEmailVerified(t *testing.T) {
	const (
		missing  = "it has no claim"
		isFalse  = "the issuer says that the email is not verified"
		notABool = ": expected true or false"
	)
	byEmail, bySub := plainly("email", ""), plainly("sub", "")
	spec := func(mode v1alpha1.EmailVerified, claim string) v1alpha1.IssuerPolicySpec {
		return v1alpha1.IssuerPolicySpec{EmailVerified: mode, EmailVerifiedClaim: claim}
	}
	required := spec(v1alpha1.EmailVerifiedRequired, "email_verified")
	requiredEdov := spec(v1alpha1.EmailVerifiedRequired, "xms_edov")
	ifPresent := spec(v1alpha1.EmailVerifiedIfPresent, "email_verified")
	ifPresentEdov := spec(v1alpha1.EmailVerifiedIfPresent, "xms_edov")
	requiredOther := spec(v1alpha1.EmailVerifiedRequired, "verified")
	ignored := spec(v1alpha1.EmailVerifiedIgnored, "email_verified")
	for _, test := range []struct {
		name     string
		username apiserver.JWTAuthenticator
		policy   v1alpha1.IssuerPolicySpec
		claim    string // beside sub and email
		code     reason.Code
		text     string
	}{
		{"required and true", bySub, required, `,"email_verified":true`, "", ""},
		{"required and missing", bySub, required, ``, reason.EmailNotVerified, missing},
		{"required and false", bySub, required, `,"email_verified":false`, reason.EmailNotVerified, isFalse},
		{"required and null", bySub, required, `,"email_verified":null`, reason.EmailNotVerified, isFalse},
		{"required and true as text", bySub, required, `,"email_verified":"true"`, reason.EmailNotVerified, notABool},
		{"required and true as a number", bySub, required, `,"email_verified":1`, reason.EmailNotVerified, notABool},
		{"required, and another claim is true", bySub, required, `,"xms_edov":true`, reason.EmailNotVerified, missing},

		{"the domain's owner has verified it", bySub, requiredEdov, `,"xms_edov":true`, "", ""},
		{"the same as text", bySub, requiredEdov, `,"xms_edov":"true"`, "", ""},
		{"the same as a number", bySub, requiredEdov, `,"xms_edov":1`, "", ""},
		{"the same as a number in text", bySub, requiredEdov, `,"xms_edov":"1"`, "", ""},
		{"the domain's owner has not", bySub, requiredEdov, `,"xms_edov":false`, reason.EmailNotVerified, isFalse},
		{"has not, as text", bySub, requiredEdov, `,"xms_edov":"false"`, reason.EmailNotVerified, isFalse},
		{"has not, as a number", bySub, requiredEdov, `,"xms_edov":0`, reason.EmailNotVerified, isFalse},
		{"has not, as a number in text", bySub, requiredEdov, `,"xms_edov":"0"`, reason.EmailNotVerified, isFalse},
		{"any other number is not true", bySub, requiredEdov, `,"xms_edov":2`, reason.EmailNotVerified, notABool},
		{"any other text is not true", bySub, requiredEdov, `,"xms_edov":"TRUE"`, reason.EmailNotVerified, notABool},
		{"nothing is said of the domain's owner", bySub, requiredEdov, `,"email_verified":true`, reason.EmailNotVerified, missing},
		{"a list is not true", bySub, requiredEdov, `,"xms_edov":["true"]`, reason.EmailNotVerified, notABool},

		{"another issuer's own claim", bySub, requiredOther, `,"verified":true`, "", ""},
		{"another issuer's own claim as text", bySub, requiredOther, `,"verified":"true"`, reason.EmailNotVerified, notABool},
		{"another issuer's own claim as a number", bySub, requiredOther, `,"verified":1`, reason.EmailNotVerified, notABool},
		{"another issuer's own claim as a number in text", bySub, requiredOther, `,"verified":"1"`, reason.EmailNotVerified, notABool},

		{"if present and missing", byEmail, ifPresent, ``, "", ""},
		{"if present and true", byEmail, ifPresent, `,"email_verified":true`, "", ""},
		{"if present and false", byEmail, ifPresent, `,"email_verified":false`, reason.EmailNotVerified, isFalse},
		{"if present and false where the username is no address", bySub, ifPresent, `,"email_verified":false`, "", ""},
		{"no policy at all is if present", byEmail, v1alpha1.IssuerPolicySpec{}, `,"email_verified":false`, reason.EmailNotVerified, isFalse},
		{"if present with another claim", byEmail, ifPresentEdov, `,"xms_edov":"0"`, reason.EmailNotVerified, isFalse},
		{"if present with another claim that is missing", bySub, ifPresentEdov, ``, "", ""},
		{"if present with another claim, where the username is no address", bySub, ifPresentEdov, `,"xms_edov":false`, reason.EmailNotVerified, isFalse},
		{"another claim does not stand in for upstream's", byEmail, ifPresentEdov, `,"email_verified":false,"xms_edov":true`, reason.EmailNotVerified, isFalse},
		{"required of another claim, upstream's rule holds as well", byEmail, requiredEdov, `,"email_verified":false,"xms_edov":true`, reason.EmailNotVerified, isFalse},

		{"ignored and false", byEmail, ignored, `,"email_verified":false`, "", ""},

		{"only audited, upstream's rule holds", byEmail, audited(requiredEdov), `,"email_verified":false,"xms_edov":true`, reason.EmailNotVerified, isFalse},
		{"only audited, the other claim refuses nobody", byEmail, audited(requiredEdov), `,"xms_edov":false`, "", ""},
		{"only audited, with another claim if present", byEmail, audited(ifPresentEdov), `,"xms_edov":false`, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := compiled(t, policy.Config{Authenticator: test.username, Policy: test.policy})
			got := decide(t, p, `{"sub":"jane","email":"jane@example.com"`+test.claim+`}`)
			got.expect(t, test.code, test.text)
			if test.code == "" && test.policy.Enforcement == v1alpha1.EnforcementAudit && got.WouldRefuse.Code != reason.EmailNotVerified {
				t.Errorf("expected it to be recorded, got %q", got.WouldRefuse)
			}
		})
	}
}

// What is recorded of an address is what enforcement would refuse, and no more.
func TestAuditOfEmailVerified(t *testing.T) {
	byEmail, bySub := plainly("email", ""), plainly("sub", "")
	for _, test := range []struct {
		name     string
		username apiserver.JWTAuthenticator
		mode     v1alpha1.EmailVerified
		claim    string
		claims   string // beside sub and email
		code     reason.Code
		would    reason.Code
	}{
		{"another claim, if present", byEmail, v1alpha1.EmailVerifiedIfPresent, "xms_edov", `,"xms_edov":false`, "", reason.EmailNotVerified},
		{"another claim that is true", byEmail, v1alpha1.EmailVerifiedIfPresent, "xms_edov", `,"xms_edov":true`, "", ""},
		{"another claim that is missing", byEmail, v1alpha1.EmailVerifiedIfPresent, "xms_edov", ``, "", ""},
		{"another claim where the username is no address", bySub, v1alpha1.EmailVerifiedIfPresent, "xms_edov", `,"xms_edov":false`, "", reason.EmailNotVerified},
		{"upstream's own rule, which refuses by itself", byEmail, v1alpha1.EmailVerifiedIfPresent, "email_verified", `,"email_verified":false`, reason.EmailNotVerified, ""},
		{"a claim that is ignored", byEmail, v1alpha1.EmailVerifiedIgnored, "email_verified", `,"email_verified":false`, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			spec := audited(v1alpha1.IssuerPolicySpec{EmailVerified: test.mode, EmailVerifiedClaim: test.claim})
			got := decide(t, compiled(t, policy.Config{Authenticator: test.username, Policy: spec}), `{"sub":"jane","email":"jane@example.com"`+test.claims+`}`)
			got.expect(t, test.code, "")
			if got.WouldRefuse.Code != test.would {
				t.Errorf("expected %q to be recorded, got %q", test.would, got.WouldRefuse)
			}
		})
	}
}
