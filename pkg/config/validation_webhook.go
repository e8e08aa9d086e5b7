package config

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
)

func validateWebhook(webhook *v1alpha1.WebhookConfiguration) field.ErrorList {
	var errs field.ErrorList
	if name := webhook.Metadata.Name; name != "" {
		errs = append(errs, validateName(name, field.NewPath("metadata", "name"))...)
	}
	spec, path := &webhook.Spec, field.NewPath("spec")
	errs = append(errs, validateTexts(spec.DisallowedIssuers, path.Child("disallowedIssuers"))...)
	if spec.Callers.Authenticate != nil && len(spec.Callers.Authenticate) == 0 {
		errs = append(errs, field.Required(path.Child("callers", "authenticate"), "the list is empty, and nobody could log in: fill it in or remove it"))
	}
	errs = append(errs, validateCallers(spec.Callers.Authenticate, path.Child("callers", "authenticate"))...)
	errs = append(errs, validateCallers(spec.Callers.TokenReview, path.Child("callers", "tokenreview"))...)
	errs = append(errs, validateCount(spec.Limits.MaxRequestsInFlight, 1, path.Child("limits", "maxRequestsInFlight"))...)
	errs = append(errs, validateCount(spec.Limits.MaxConnections, 1, path.Child("limits", "maxConnections"))...)
	errs = append(errs, validateDecisionCache(&spec.DecisionCache, path.Child("decisionCache"))...)
	return append(errs, validateAudit(&spec.Audit, path.Child("audit"))...)
}

// maxLimit is above what a machine can do, and so a mistake.
const maxLimit = 100_000

// validateCount wants a number of something, at least so many; nil is the default.
func validateCount(count *int, least int, path *field.Path) field.ErrorList {
	if count == nil || least <= *count && *count <= maxLimit {
		return nil
	}
	return field.ErrorList{field.Invalid(path, *count, fmt.Sprintf("must be from %d to %d", least, maxLimit))}
}

// What was decided may be wrong by now: a minute is long for who has mended what a
// refusal was about, and ten are for who is to be kept out.
const (
	maxAllowedTTL = 10 * time.Minute
	maxRefusedTTL = time.Minute
)

func validateDecisionCache(decisions *v1alpha1.DecisionCache, path *field.Path) field.ErrorList {
	errs := validateTTL(decisions.AllowedTTL, maxAllowedTTL, path.Child("allowedTTL"))
	errs = append(errs, validateTTL(decisions.RefusedTTL, maxRefusedTTL, path.Child("refusedTTL"))...)
	return append(errs, validateCount(decisions.MaxEntries, 0, path.Child("maxEntries"))...)
}

// validateCallers wants each caller described by something, once.
func validateCallers(callers []v1alpha1.Caller, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := make(map[v1alpha1.Caller]bool, len(callers))
	for i, caller := range callers {
		path := path.Index(i)
		switch {
		case caller == v1alpha1.Caller{}:
			errs = append(errs, field.Required(path, "say which certificates: commonName, organization or uri"))
		case seen[caller]:
			errs = append(errs, field.Duplicate(path, caller))
		}
		seen[caller] = true
		for _, given := range []struct{ name, text string }{{"commonName", caller.CommonName}, {"organization", caller.Organization}, {"uri", caller.URI}} {
			if given.text != "" {
				errs = append(errs, validateText(given.text, path.Child(given.name))...)
			}
		}
		if caller.URI != "" && !strings.Contains(caller.URI, ":") {
			errs = append(errs, field.Invalid(path.Child("uri"), caller.URI, "must be a whole URI such as spiffe://example.com/auditor"))
		}
	}
	return errs
}

var auditLevels = []v1alpha1.AuditLevel{v1alpha1.AuditAll, v1alpha1.AuditRefusals, v1alpha1.AuditNone}

func validateAudit(audit *v1alpha1.Audit, path *field.Path) field.ErrorList {
	errs := validateEnum(audit.Level, path.Child("level"), auditLevels...)
	if audit.Path != defaultAuditPath {
		errs = append(errs, validateAbsolute(audit.Path, path.Child("path"))...)
	}
	errs = append(errs, validateCount(audit.MaxSizeMB, 0, path.Child("maxSizeMB"))...)
	errs = append(errs, validateCount(audit.MaxBackups, 0, path.Child("maxBackups"))...)
	errs = append(errs, validateCount(&audit.MaxAgeDays, 0, path.Child("maxAgeDays"))...)
	errs = append(errs, validateCount(audit.MaxRefusalsPerSecond, 1, path.Child("maxRefusalsPerSecond"))...)
	return append(errs, validateAbsolute(audit.FingerprintKeyFile, path.Child("fingerprintKeyFile"))...)
}

func validateIssuerAudit(audit *v1alpha1.IssuerAudit, path *field.Path) field.ErrorList {
	errs := validateEnum(audit.Level, path.Child("level"), auditLevels...)
	if len(audit.Claims) == 0 {
		return errs // An empty list is none.
	}
	return append(errs, validateTexts(audit.Claims, path.Child("claims"))...)
}
