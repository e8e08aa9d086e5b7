package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/apiserver"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/entra"
)

func validateEntra(spec *v1alpha1.Entra, path *field.Path) field.ErrorList {
	errs := validateEach(spec.TenantIDs, path.Child("tenantIDs"), validateGUID)
	errs = append(errs, validateEach(spec.ClientIDs, path.Child("clientIDs"), validateGUID)...)
	errs = append(errs, validateEnum(spec.AppOnlyTokens, path.Child("appOnlyTokens"), v1alpha1.AppOnlyTokensDeny, v1alpha1.AppOnlyTokensAllow)...)
	errs = append(errs, validateEnum(spec.GroupOverage, path.Child("groupOverage"), v1alpha1.GroupOverageDeny, v1alpha1.GroupOverageResolve)...)
	switch resolves := spec.GroupOverage == v1alpha1.GroupOverageResolve; {
	case resolves && spec.Graph == nil:
		errs = append(errs, field.Required(path.Child("graph"), "groupOverage Resolve asks Microsoft Graph: say as which application, with clientID and clientSecretFile or clientAssertionFile"))
	case !resolves && spec.Graph != nil:
		errs = append(errs, field.Forbidden(path.Child("graph"), "only groupOverage Resolve uses it: set that, or remove this"))
	}
	if spec.Graph != nil {
		errs = append(errs, validateGraph(spec.Graph, path.Child("graph"))...)
	}
	return errs
}

func validateGraph(graph *v1alpha1.Graph, path *field.Path) field.ErrorList {
	errs := validateEnum(graph.Cloud, path.Child("cloud"), cloudNames()...)
	if graph.ClientID == "" {
		errs = append(errs, field.Required(path.Child("clientID"), "give the application as which the webhook signs in"))
	} else {
		errs = append(errs, validateGUID(graph.ClientID, path.Child("clientID"))...)
	}
	switch {
	case graph.ClientSecretFile == "" && graph.ClientAssertionFile == "":
		errs = append(errs, field.Required(path.Child("clientSecretFile"), "the application has to prove itself: give clientSecretFile or clientAssertionFile"))
	case graph.ClientSecretFile != "" && graph.ClientAssertionFile != "":
		errs = append(errs, field.Forbidden(path.Child("clientAssertionFile"), "the application proves itself in one way: remove this or clientSecretFile"))
	}
	errs = append(errs, validateAbsolute(graph.ClientSecretFile, path.Child("clientSecretFile"))...)
	errs = append(errs, validateAbsolute(graph.ClientAssertionFile, path.Child("clientAssertionFile"))...)
	errs = append(errs, validateTTL(graph.CacheTTL, maxCacheTTL, path.Child("cacheTTL"))...)
	return append(errs, validateEnum(graph.OnFailure, path.Child("onFailure"), v1alpha1.GraphFailureDeny, v1alpha1.GraphFailureOmitGroups)...)
}

// validateEntraIssuer wants an issuer whose URL names a tenant, as those of Entra ID
// do: tid is compared with it, and Graph is asked about it.
func validateEntraIssuer(policy *v1alpha1.IssuerPolicySpec, issuer apiserver.Issuer, path *field.Path) field.ErrorList {
	spec := policy.Entra
	if spec == nil {
		return nil
	}
	tenant := entraTenant(issuer, spec)
	if shared := sharedTenant(issuer.URL); tenant == "" && shared != "" {
		return field.ErrorList{field.Forbidden(path, fmt.Sprintf("the issuer %q is the iss of no token: put the tenant's id in the place of %s, here and in document 1", issuer.URL, shared))}
	}
	if tenant == "" {
		return field.ErrorList{field.Forbidden(path, fmt.Sprintf("the issuer %q names no tenant, so it is not Entra ID, whose issuers are such as https://login.microsoftonline.com/TENANT/v2.0 and https://sts.windows.net/TENANT/: remove this", issuer.URL))}
	}
	var errs field.ErrorList
	if len(spec.TenantIDs) > 0 && !slices.ContainsFunc(spec.TenantIDs, func(id string) bool { return strings.EqualFold(id, tenant) }) {
		errs = append(errs, field.Invalid(path.Child("tenantIDs"), spec.TenantIDs, fmt.Sprintf("none of these is %s, the tenant in the issuer: every token would be refused", tenant)))
	}
	if parsed, _ := entra.ParseIssuer(issuer.URL, ""); parsed.B2C && spec.AppOnlyTokens != v1alpha1.AppOnlyTokensAllow {
		errs = append(errs, field.Required(path.Child("appOnlyTokens"), "tokens of Azure AD B2C do not tell whether a user had a part in them: set Allow, and say in document 1 who may come in, by a claimValidationRules entry over tfp or azp for example"))
	}
	if spec.Graph != nil && graphCloud(issuer, policy) == "" {
		errs = append(errs, field.Required(path.Child("graph", "cloud"), fmt.Sprintf("the issuer %q does not say in which national cloud it is: choose one of %q", issuer.URL, cloudNames())))
	}
	if spec.Graph != nil {
		errs = append(errs, validateCloud(spec.Graph.Cloud, issuer, &policy.Keys, path.Child("graph", "cloud"))...)
	}
	return errs
}

// validateCloud wants the client secret to go to where the issuer is, in a cloud that
// may share that with another.
func validateCloud(name string, issuer apiserver.Issuer, keys *v1alpha1.Keys, path *field.Path) field.ErrorList {
	cloud := issuerCloud(issuer, keys)
	own, given := cloud.LoginHost(), entra.Cloud(name).LoginHost()
	if own == "" || given == "" || own == given {
		return nil
	}
	return field.ErrorList{field.Invalid(path, name, fmt.Sprintf("the issuer is in the cloud %s, and the client secret would be used in another: remove this", cloud))}
}

// sharedTenant is what stands in the place of a tenant's id in the URL of an endpoint
// of Entra ID: a name of the tenant's, or "common" and the like for the people of
// several. Empty for every other URL.
func sharedTenant(issuer string) string {
	if match := sharedTenantForm.FindStringSubmatch(issuer); match != nil && !entra.IsGUID(match[1]) {
		return match[1]
	}
	return ""
}

var sharedTenantForm = regexp.MustCompile(`^https://login\.(?:microsoftonline\.com|microsoftonline\.us|partner\.microsoftonline\.cn)/([^/]+)/`)

// entraTenant is the tenant that an issuer's URL names: where it is one of Entra
// ID's, or where its policy says that it is. Empty for every other issuer.
func entraTenant(issuer apiserver.Issuer, spec *v1alpha1.Entra) string {
	if parsed, ok := entra.ParseIssuer(issuer.URL, issuer.DiscoveryURL); ok {
		return parsed.Tenant
	}
	if spec != nil {
		tenant, _ := entra.ParseTenant(issuer.URL)
		return tenant
	}
	return ""
}

// graphCloud is the national cloud in which Graph is asked, empty if nobody says.
func graphCloud(issuer apiserver.Issuer, policy *v1alpha1.IssuerPolicySpec) entra.Cloud {
	return cmp.Or(entra.Cloud(policy.Entra.Graph.Cloud), issuerCloud(issuer, &policy.Keys))
}

// issuerCloud is the national cloud that an issuer is in, empty if its URLs do not tell.
// The v1 issuer is that of two: then the URL that the keys come from tells which, and a
// file does not.
func issuerCloud(issuer apiserver.Issuer, keys *v1alpha1.Keys) entra.Cloud {
	parsed, _ := entra.ParseIssuer(issuer.URL, cmp.Or(issuer.DiscoveryURL, keys.JWKSURL, keys.JWKSFile, keys.JWKS))
	return parsed.Cloud
}

func cloudNames() []string {
	var names []string
	for _, cloud := range entra.Clouds() {
		names = append(names, string(cloud))
	}
	return names
}
