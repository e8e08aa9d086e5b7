package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/reason"
)

// entra decides by the claims of a Microsoft Entra ID token, v1 or v2. All ids are
// in lower case.
type entra struct {
	// tenant is the one in the issuer's URL.
	tenant             string
	tenantIDs          []string
	clientIDs          []string
	allowAppOnlyTokens bool
}

func newEntra(spec *v1alpha1.Entra, tenant string) *entra {
	return &entra{
		tenant:             tenant,
		tenantIDs:          lowerAll(spec.TenantIDs),
		clientIDs:          lowerAll(spec.ClientIDs),
		allowAppOnlyTokens: spec.AppOnlyTokens == v1alpha1.AppOnlyTokensAllow,
	}
}

// checkTenant wants the tenant in tid to be the one in iss, and to be listed. A
// token without tid is of the tenant in iss, unless tid is asked for by a list.
func (e *entra) checkTenant(_ context.Context, r *review) reason.Refusal {
	refuse := func(text string) reason.Refusal {
		return reason.Refusal{Code: reason.TenantNotAllowed, Text: text}
	}
	if !r.Claims.Has("tid") && len(e.tenantIDs) == 0 {
		if r.traced {
			r.note = "no tid; iss is the tenant " + e.tenant
		}
		return reason.Refusal{}
	}
	tid, err := r.Claims.String("tid")
	if err != nil {
		return refuse(fmt.Sprintf("tid: %v", err))
	}
	if !strings.EqualFold(tid, e.tenant) {
		return refuse(fmt.Sprintf("tid is %.100q, and iss is the tenant %s", tid, e.tenant))
	}
	if len(e.tenantIDs) > 0 && !slices.Contains(e.tenantIDs, strings.ToLower(tid)) {
		return refuse(fmt.Sprintf("the tenant %s (tid) is none of entra.tenantIDs", e.tenant))
	}
	if r.traced {
		r.note = "tid " + e.tenant + " is the tenant of iss"
		if len(e.tenantIDs) > 0 {
			r.note += fmt.Sprintf(" and one of %d entra.tenantIDs", len(e.tenantIDs))
		}
	}
	return reason.Refusal{}
}

// checkClient wants the application that obtained the token to be listed: azp in a
// v2 token, appid in a v1 token.
func (e *entra) checkClient(_ context.Context, r *review) reason.Refusal {
	if len(e.clientIDs) == 0 {
		if r.traced {
			r.note = "there are no entra.clientIDs: any client"
		}
		return reason.Refusal{}
	}
	refuse := func(text string) reason.Refusal {
		return reason.Refusal{Code: reason.ClientNotAllowed, Text: text}
	}
	found := false
	for _, claim := range [...]string{"azp", "appid"} {
		if !r.Claims.Has(claim) {
			continue
		}
		found = true
		client, err := r.Claims.String(claim)
		if err != nil {
			return refuse(fmt.Sprintf("%s: %v", claim, err))
		}
		if !slices.Contains(e.clientIDs, strings.ToLower(client)) {
			return refuse(fmt.Sprintf("the client %.100q (%s) is none of entra.clientIDs", client, claim))
		}
		if r.traced {
			r.note = fmt.Sprintf("%s %s is one of %d entra.clientIDs", claim, client, len(e.clientIDs))
		}
	}
	if !found {
		return refuse("the token does not say which client obtained it: it has neither azp nor appid, as ID tokens have not, whose client is their aud; entra.clientIDs is for access tokens")
	}
	return reason.Refusal{}
}

func (e *entra) checkAppOnly(_ context.Context, r *review) reason.Refusal {
	sign := appOnlySign(r.Claims)
	if sign == "" || e.allowAppOnlyTokens {
		switch {
		case sign == "":
			r.noteUser()
		case r.traced:
			r.note = "an application: " + sign + "; entra.appOnlyTokens is Allow"
		}
		return reason.Refusal{}
	}
	return reason.Refusal{Code: reason.AppOnlyToken, Text: "the token stands for an application and no user (" + sign + "): set entra.appOnlyTokens: Allow if applications may come in"}
}

// appOnlySign says how a token shows that it stands for an application, empty if it
// stands for a user. idtyp decides where it is, which is optional; else the subject
// of an application's token is the application's own object, and an access token
// that a user had a part in has scopes.
func appOnlySign(claims *issuers.Claims) string {
	if claims.Has("idtyp") {
		if kind, err := claims.String("idtyp"); err != nil || kind != "user" {
			return fmt.Sprintf("idtyp is %.50q", kind)
		}
		return ""
	}
	object, objectErr := claims.String("oid")
	subject, subjectErr := claims.String("sub")
	if objectErr == nil && subjectErr == nil && object != "" && object == subject {
		return "oid is sub"
	}
	if (claims.Has("azpacr") || claims.Has("appidacr")) && !claims.Has("scp") {
		return "it is an access token without scp"
	}
	return ""
}

func lowerAll(texts []string) []string {
	lower := make([]string, len(texts))
	for i, text := range texts {
		lower[i] = strings.ToLower(text)
	}
	return lower
}
