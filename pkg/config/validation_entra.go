package config

import "k8s.io/apimachinery/pkg/util/validation/field"

func validateEntra(entra *Entra, path *field.Path) field.ErrorList {
	errs := validateEach(entra.TenantIDs, path.Child("tenantIDs"), validateGUID)
	errs = append(errs, validateEach(entra.ClientIDs, path.Child("clientIDs"), validateGUID)...)
	errs = append(errs, validateEnum(entra.AppOnlyTokens, path.Child("appOnlyTokens"), AppOnlyTokensDeny, AppOnlyTokensAllow)...)
	return append(errs, validateEnum(entra.GroupOverage, path.Child("groupOverage"), GroupOverageDeny, GroupOverageResolve)...)
}
