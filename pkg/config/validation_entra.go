package config

import (
	"fmt"

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
	errs = append(errs, validateCacheTTL(graph.CacheTTL, path.Child("cacheTTL"))...)
	return append(errs, validateEnum(graph.OnFailure, path.Child("onFailure"), v1alpha1.GraphFailureDeny, v1alpha1.GraphFailureOmitGroups)...)
}

// validateEntraIssuer wants an issuer whose URL names a tenant, as those of Entra ID
// do: tid is compared with it, and Graph is asked about it.
func validateEntraIssuer(spec *v1alpha1.Entra, issuer apiserver.Issuer, path *field.Path) field.ErrorList {
	if spec == nil {
		return nil
	}
	if entraTenant(issuer, spec) == "" {
		return field.ErrorList{field.Forbidden(path, fmt.Sprintf("the issuer %q names no tenant, so it is not Entra ID, whose issuers are such as https://login.microsoftonline.com/TENANT/v2.0 and https://sts.windows.net/TENANT/: remove this", issuer.URL))}
	}
	if spec.Graph != nil && graphCloud(issuer, spec) == "" {
		return field.ErrorList{field.Required(path.Child("graph", "cloud"), fmt.Sprintf("the issuer %q does not say in which national cloud it is: choose one of %q", issuer.URL, cloudNames()))}
	}
	return nil
}

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
func graphCloud(issuer apiserver.Issuer, spec *v1alpha1.Entra) entra.Cloud {
	if spec.Graph.Cloud != "" {
		return entra.Cloud(spec.Graph.Cloud)
	}
	parsed, _ := entra.ParseIssuer(issuer.URL, issuer.DiscoveryURL)
	return parsed.Cloud
}

func cloudNames() []string {
	var names []string
	for _, cloud := range entra.Clouds() {
		names = append(names, string(cloud))
	}
	return names
}
