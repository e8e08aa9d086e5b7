package policy_test

import (
	"testing"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/policy"
	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/trace"
)

const (
	tenant = "de5169f1-9a13-45fe-a4cf-07feee258b7f"
	other  = "64f198b3-0634-4e71-a62f-0fb6cae8acef"
	client = "80faf920-1908-4b52-b5ef-a8e7bedfc67a"
	object = "0c6b2e4e-53c5-4f0a-9d5e-6a1f3f6f8f0b"
)

func TestEntra(t *testing.T) {
	entra := func(spec v1alpha1.Entra) *policy.Policy {
		return compiled(t, policy.Config{EntraTenant: tenant, Policy: v1alpha1.IssuerPolicySpec{Entra: &spec}})
	}
	anything := entra(v1alpha1.Entra{})
	oneTenant := entra(v1alpha1.Entra{TenantIDs: []string{"DE5169F1-9A13-45FE-A4CF-07FEEE258B7F"}})
	otherTenant := entra(v1alpha1.Entra{TenantIDs: []string{other}})
	oneClient := entra(v1alpha1.Entra{ClientIDs: []string{"80FAF920-1908-4b52-b5ef-a8e7bedfc67a"}})
	applications := entra(v1alpha1.Entra{AppOnlyTokens: v1alpha1.AppOnlyTokensAllow})
	for _, test := range []struct {
		name   string
		policy *policy.Policy
		claims string
		code   reason.Code
		text   string
	}{
		{"the tenant of iss", anything, `{"sub":"s","tid":"` + tenant + `"}`, "", ""},
		{"the tenant of iss in other case", anything, `{"sub":"s","tid":"DE5169F1-9A13-45FE-A4CF-07FEEE258B7F"}`, "", ""},
		{"another tenant than that of iss", anything, `{"sub":"s","tid":"` + other + `"}`, reason.TenantNotAllowed,
			`tid is "` + other + `", and iss is the tenant ` + tenant},
		{"no tid, iss says it", anything, `{"sub":"s"}`, "", ""},
		{"tid is no text", anything, `{"sub":"s","tid":5}`, reason.TenantNotAllowed, "tid: expected text"},
		{"a tenant of the list", oneTenant, `{"sub":"s","tid":"` + tenant + `"}`, "", ""},
		{"a tenant of the list in other case", oneTenant, `{"sub":"s","tid":"DE5169F1-9A13-45FE-A4CF-07FEEE258B7F"}`, "", ""},
		{"a tenant that the list lacks", otherTenant, `{"sub":"s","tid":"` + tenant + `"}`, reason.TenantNotAllowed, "none of entra.tenantIDs"},
		{"a list wants tid to be there", oneTenant, `{"sub":"s"}`, reason.TenantNotAllowed, "tid: the token has no such claim"},
		{"a tenant of the list that is not that of iss", otherTenant, `{"sub":"s","tid":"` + other + `"}`, reason.TenantNotAllowed, "and iss is the tenant"},

		{"a v2 token's client", oneClient, `{"sub":"s","ver":"2.0","azp":"` + client + `"}`, "", ""},
		{"a v1 token's client", oneClient, `{"sub":"s","ver":"1.0","appid":"` + client + `"}`, "", ""},
		{"a client in other case", oneClient, `{"sub":"s","azp":"80FAF920-1908-4B52-B5EF-A8E7BEDFC67A"}`, "", ""},
		{"another client of v2", oneClient, `{"sub":"s","azp":"` + other + `"}`, reason.ClientNotAllowed, `the client "` + other + `" (azp) is none`},
		{"another client of v1", oneClient, `{"sub":"s","appid":"` + other + `"}`, reason.ClientNotAllowed, `(appid) is none`},
		{"two claims that disagree", oneClient, `{"sub":"s","azp":"` + client + `","appid":"` + other + `"}`, reason.ClientNotAllowed, "(appid)"},
		{"no client at all", oneClient, `{"sub":"s","aud":"` + client + `"}`, reason.ClientNotAllowed, "neither azp nor appid"},
		{"a client that is no text", oneClient, `{"sub":"s","azp":["` + client + `"]}`, reason.ClientNotAllowed, "azp: expected text"},
		{"an empty client", oneClient, `{"sub":"s","azp":""}`, reason.ClientNotAllowed, `the client ""`},

		{"an application by idtyp", anything, `{"sub":"s","oid":"o","idtyp":"app"}`, reason.AppOnlyToken, `idtyp is "app"`},
		{"any idtyp but user is no user", anything, `{"sub":"s","oid":"o","idtyp":"device"}`, reason.AppOnlyToken, `idtyp is "device"`},
		{"an idtyp that is no text is no user", anything, `{"sub":"s","oid":"o","idtyp":true}`, reason.AppOnlyToken, "idtyp"},
		{"a user by idtyp", anything, `{"sub":"s","oid":"o","idtyp":"user","azpacr":"1"}`, "", ""},
		{"an application is its own subject", anything, `{"sub":"` + object + `","oid":"` + object + `"}`, reason.AppOnlyToken, "oid is sub"},
		{"scopes do not make a user: Azure AD B2C gives them to applications", anything, `{"sub":"` + object + `","oid":"` + object + `","azp":"` + client + `","scp":"app.read","tfp":"B2C_1_signin"}`, reason.AppOnlyToken, "oid is sub"},
		{"idtyp decides before scopes", anything, `{"sub":"` + object + `","oid":"` + object + `","idtyp":"app","scp":"read"}`, reason.AppOnlyToken, `idtyp is "app"`},
		{"an access token without scopes, v2", anything, `{"sub":"s","oid":"o","azp":"` + client + `","azpacr":"1"}`, reason.AppOnlyToken, "without scp"},
		{"an access token without scopes, v1", anything, `{"sub":"s","oid":"o","appid":"` + client + `","appidacr":"2","roles":["x"]}`, reason.AppOnlyToken, "without scp"},
		{"an access token of a user", anything, `{"sub":"s","oid":"o","azpacr":"0","scp":"user.read"}`, "", ""},
		{"an ID token of a user", anything, `{"sub":"s","oid":"o","name":"Jane"}`, "", ""},
		{"an ID token without the object", anything, `{"sub":"s"}`, "", ""},
		{"an application where they are allowed", applications, `{"sub":"` + object + `","oid":"` + object + `","idtyp":"app"}`, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			decide(t, test.policy, test.claims).expect(t, test.code, test.text)
		})
	}
}

func TestTheTraceSaysWhatEntraTokensAreTakenFor(t *testing.T) {
	p := compiled(t, policy.Config{EntraTenant: tenant, Policy: v1alpha1.IssuerPolicySpec{Entra: &v1alpha1.Entra{
		ClientIDs: []string{client}, AppOnlyTokens: v1alpha1.AppOnlyTokensAllow,
	}}})
	got := decide(t, p, `{"sub":"`+object+`","oid":"`+object+`","tid":"`+tenant+`","azp":"`+client+`"}`)
	got.expect(t, "", "")
	for check, detail := range map[string]string{
		"entra.tenantIDs": "tid " + tenant + " is the tenant of iss", "entra.clientIDs": "azp " + client + " is one of 1 entra.clientIDs",
		"entra.appOnlyTokens": "an application: oid is sub; entra.appOnlyTokens is Allow", "entra.groupOverage": "the token leaves out no groups",
		// What one check has to say is not said of those that follow.
		"required claims": "",
	} {
		if want := (trace.Step{Check: check, Outcome: trace.Passed, Detail: detail}); got.step(check) != want {
			t.Errorf("expected %+v, got %+v", want, got.step(check))
		}
	}
}
