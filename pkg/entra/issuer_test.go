package entra_test

import (
	"testing"

	"tokenreview.dev/webhook/pkg/entra"
)

func TestParseIssuer(t *testing.T) {
	const tenant = "de5169f1-9a13-45fe-a4cf-07feee258b7f"
	of := func(cloud entra.Cloud) *entra.Issuer { return &entra.Issuer{Tenant: tenant, Cloud: cloud} }
	b2c := func(cloud entra.Cloud) *entra.Issuer {
		return &entra.Issuer{Tenant: tenant, Cloud: cloud, B2C: true}
	}
	for name, test := range map[string]struct {
		issuer, discovery string
		expected          *entra.Issuer
	}{
		"v2 in the public cloud":                       {"https://login.microsoftonline.com/" + tenant + "/v2.0", "", of(entra.CloudPublic)},
		"v2 with a trailing slash":                     {"https://login.microsoftonline.com/" + tenant + "/v2.0/", "", of(entra.CloudPublic)},
		"v2 in Azure Government":                       {"https://login.microsoftonline.us/" + tenant + "/v2.0", "", of(entra.CloudUSGovernment)},
		"v2 in China":                                  {"https://login.partner.microsoftonline.cn/" + tenant + "/v2.0", "", of(entra.CloudChina)},
		"v2 in China by its old host":                  {"https://login.chinacloudapi.cn/" + tenant + "/v2.0", "", of(entra.CloudChina)},
		"a national partner's cloud":                   {"https://login.sovcloud-identity.fr/" + tenant + "/v2.0", "", of("")},
		"v1 without a discovery URL":                   {"https://sts.windows.net/" + tenant + "/", "", of(entra.CloudPublic)},
		"v1 without a trailing slash":                  {"https://sts.windows.net/" + tenant, "", of(entra.CloudPublic)},
		"v1 discovered in the public cloud":            {"https://sts.windows.net/" + tenant + "/", "https://login.microsoftonline.com/" + tenant + "/.well-known/openid-configuration", of(entra.CloudPublic)},
		"v1 discovered in Azure Government":            {"https://sts.windows.net/" + tenant + "/", "https://LOGIN.microsoftonline.us/" + tenant + "/.well-known/openid-configuration", of(entra.CloudUSGovernment)},
		"v1 discovered at a mirror":                    {"https://sts.windows.net/" + tenant + "/", "https://mirror.example/openid-configuration", of("")},
		"v1 discovered at something that is no URL":    {"https://sts.windows.net/" + tenant + "/", "::", of("")},
		"v1 in China":                                  {"https://sts.chinacloudapi.cn/" + tenant + "/", "", of(entra.CloudChina)},
		"v2 whatever the discovery URL":                {"https://login.microsoftonline.com/" + tenant + "/v2.0", "https://login.microsoftonline.us/x", of(entra.CloudPublic)},
		"an external tenant by name":                   {"https://contoso.ciamlogin.com/" + tenant + "/v2.0", "", of(entra.CloudPublic)},
		"an external tenant by id":                     {"https://" + tenant + ".ciamlogin.com/" + tenant + "/v2.0", "", of(entra.CloudPublic)},
		"B2C":                                          {"https://contoso.b2clogin.com/" + tenant + "/v2.0/", "", b2c(entra.CloudPublic)},
		"B2C with its policy":                          {"https://contoso.b2clogin.com/tfp/" + tenant + "/b2c_1_signin/v2.0/", "", b2c(entra.CloudPublic)},
		"B2C in China":                                 {"https://contoso.b2clogin.cn/" + tenant + "/v2.0/", "", b2c(entra.CloudChina)},
		"a host and a tenant in capitals":              {"https://LOGIN.MicrosoftOnline.COM/DE5169F1-9A13-45FE-A4CF-07FEEE258B7F/v2.0", "", of(entra.CloudPublic)},
		"a host that goes on":                          {"https://login.microsoftonline.com.evil.example/" + tenant + "/v2.0", "", nil},
		"a host that ends like an external tenant's":   {"https://evilciamlogin.com/" + tenant + "/v2.0", "", nil},
		"the domain of external tenants itself":        {"https://ciamlogin.com/" + tenant + "/v2.0", "", nil},
		"a host that ends like B2C's":                  {"https://evilb2clogin.com/" + tenant + "/v2.0", "", nil},
		"a subdomain of the login host":                {"https://evil.login.microsoftonline.com/" + tenant + "/v2.0", "", nil},
		"a user that looks like the host":              {"https://login.microsoftonline.com@evil.example/" + tenant + "/v2.0", "", nil},
		"a user before the host":                       {"https://user@login.microsoftonline.com/" + tenant + "/v2.0", "", nil},
		"a port":                                       {"https://login.microsoftonline.com:8443/" + tenant + "/v2.0", "", nil},
		"http":                                         {"http://login.microsoftonline.com/" + tenant + "/v2.0", "", nil},
		"every tenant at once":                         {"https://login.microsoftonline.com/common/v2.0", "", nil},
		"the template of multi-tenant discovery":       {"https://login.microsoftonline.com/{tenantid}/v2.0", "", nil},
		"a tenant by its domain":                       {"https://login.microsoftonline.com/contoso.onmicrosoft.com/v2.0", "", nil},
		"a policy's path elsewhere than at B2C":        {"https://login.microsoftonline.com/tfp/" + tenant + "/v2.0", "", nil},
		"a tenant with more to its id":                 {"https://login.microsoftonline.com/" + tenant + "0/v2.0", "", nil},
		"no path":                                      {"https://login.microsoftonline.com", "", nil},
		"another issuer":                               {"https://token.actions.githubusercontent.com", "", nil},
		"another issuer whose path begins with a GUID": {"https://issuer.example/" + tenant + "/v2.0", "", nil},
		"nothing": {"", "", nil},
		"an issuer that only the discovery URL knows about": {"https://issuer.example/" + tenant, "https://login.microsoftonline.com/" + tenant, nil},
	} {
		t.Run(name, func(t *testing.T) {
			issuer, ok := entra.ParseIssuer(test.issuer, test.discovery)
			if ok != (test.expected != nil) {
				t.Fatalf("expected %v, got %+v, %v", test.expected, issuer, ok)
			}
			if ok && issuer != *test.expected {
				t.Errorf("expected %+v, got %+v", *test.expected, issuer)
			}
			if !ok && issuer != (entra.Issuer{}) {
				t.Errorf("expected nothing of what is no issuer, got %+v", issuer)
			}
		})
	}
}

func TestParseTenant(t *testing.T) {
	for issuer, expected := range map[string]string{
		"https://login.contoso.example/DE5169F1-9A13-45FE-A4CF-07FEEE258B7F/v2.0": "de5169f1-9a13-45fe-a4cf-07feee258b7f",
		"https://login.contoso.example:8443/de5169f1-9a13-45fe-a4cf-07feee258b7f": "de5169f1-9a13-45fe-a4cf-07feee258b7f",
		"http://login.contoso.example/de5169f1-9a13-45fe-a4cf-07feee258b7f":       "",
		"https://login.contoso.example/x/de5169f1-9a13-45fe-a4cf-07feee258b7f":    "",
		"https://login.contoso.example/":                                          "",
		"de5169f1-9a13-45fe-a4cf-07feee258b7f":                                    "",
	} {
		if tenant, ok := entra.ParseTenant(issuer); tenant != expected || ok != (expected != "") {
			t.Errorf("%s: expected %q, got %q, %v", issuer, expected, tenant, ok)
		}
	}
}

func TestEveryCloudHasItsOwnHosts(t *testing.T) {
	expected := map[entra.Cloud][2]string{
		entra.CloudPublic:          {"login.microsoftonline.com", "graph.microsoft.com"},
		entra.CloudUSGovernment:    {"login.microsoftonline.us", "graph.microsoft.us"},
		entra.CloudUSGovernmentDoD: {"login.microsoftonline.us", "dod-graph.microsoft.us"},
		entra.CloudChina:           {"login.partner.microsoftonline.cn", "microsoftgraph.chinacloudapi.cn"},
		"Germany":                  {"", ""},
	}
	for cloud, hosts := range expected {
		if got := [2]string{cloud.LoginHost(), cloud.GraphHost()}; got != hosts {
			t.Errorf("%s: expected %q, got %q", cloud, hosts, got)
		}
	}
	if clouds := entra.Clouds(); len(clouds) != len(expected)-1 {
		t.Errorf("expected every known cloud, got %v", clouds)
	}
}
