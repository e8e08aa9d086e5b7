package entra

import (
	"net/url"
	"regexp"
	"strings"
)

// Issuer is what an Entra issuer's URL says.
type Issuer struct {
	// Tenant is the id of the tenant, a GUID in lower case.
	Tenant string
	// Cloud is where the tenant is, or "" where the URL does not tell.
	Cloud Cloud
	// B2C is whether it is Azure AD B2C, whose tokens do not tell whether a user had a
	// part in them: people, too, have their oid as sub, and applications scopes
	// (https://learn.microsoft.com/azure/active-directory-b2c/client-credentials-grant-flow).
	B2C bool
}

// ParseIssuer reads the iss of Entra tokens: of v2
// (https://login.microsoftonline.com/{tenant}/v2.0 and the national clouds' hosts),
// of v1 (https://sts.windows.net/{tenant}/, https://sts.chinacloudapi.cn/{tenant}/),
// of external tenants (https://NAME.ciamlogin.com/{tenant}/v2.0) and of Azure AD B2C
// (https://NAME.b2clogin.com/{tenant}/v2.0/ and /tfp/{tenant}/{policy}/v2.0/). It
// returns false for any other host, and for an URL that names no tenant by its id.
//
// The public cloud and that of the US government share the v1 issuer. The host of
// discoveryURL tells them apart; without one it is the public cloud, where alone
// the issuer's own host serves a discovery document.
func ParseIssuer(issuerURL, discoveryURL string) (Issuer, bool) {
	issuer, ok := parseHTTPS(issuerURL)
	if !ok {
		return Issuer{}, false
	}
	host := strings.ToLower(issuer.Host)
	cloud, ok := issuerCloud(host)
	if !ok {
		return Issuer{}, false
	}
	if host == "sts.windows.net" && discoveryURL != "" {
		cloud = ""
		if discovery, ok := parseHTTPS(discoveryURL); ok {
			cloud, _ = issuerCloud(strings.ToLower(discovery.Host))
		}
	}
	path, b2c := issuer.Path, isB2C(host)
	if b2c {
		path = strings.TrimPrefix(path, "/tfp/")
	}
	tenant, ok := firstSegmentGUID(path)
	if !ok {
		return Issuer{}, false
	}
	return Issuer{Tenant: tenant, Cloud: cloud, B2C: b2c}, true
}

// ParseTenant returns the tenant, in lower case, of an issuer that somebody who
// knows says is Entra's, on a custom domain for example: the GUID that is the first
// segment of the path of an https URL, whatever the host.
func ParseTenant(issuerURL string) (string, bool) {
	issuer, ok := parseHTTPS(issuerURL)
	if !ok {
		return "", false
	}
	return firstSegmentGUID(issuer.Path)
}

// issuerCloud says in which cloud an Entra host is, and whether it is one. The host
// is in lower case.
func issuerCloud(host string) (Cloud, bool) {
	switch host {
	case "login.microsoftonline.com", "login.windows.net", "sts.windows.net":
		return CloudPublic, true
	case "login.microsoftonline.us":
		return CloudUSGovernment, true
	case "login.partner.microsoftonline.cn", "login.chinacloudapi.cn", "sts.chinacloudapi.cn":
		return CloudChina, true
	// The national partner clouds of France, Germany and Singapore, whose Microsoft
	// Graph is not in Microsoft's table of deployments.
	case "login.sovcloud-identity.fr", "login.sovcloud-identity.de", "login.sovcloud-identity.sg":
		return "", true
	}
	switch {
	case strings.HasSuffix(host, ".ciamlogin.com"), strings.HasSuffix(host, ".b2clogin.com"):
		return CloudPublic, true
	case strings.HasSuffix(host, ".b2clogin.cn"):
		return CloudChina, true
	default:
		return "", false
	}
}

func isB2C(host string) bool {
	return strings.HasSuffix(host, ".b2clogin.com") || strings.HasSuffix(host, ".b2clogin.cn")
}

// parseHTTPS wants an https URL with a host. A port stays part of Host, and so never
// matches a known one.
func parseHTTPS(text string) (*url.URL, bool) {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Scheme != "https" || parsed.Host == "" || parsed.User != nil {
		return nil, false
	}
	return parsed, true
}

func firstSegmentGUID(path string) (string, bool) {
	segment, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !IsGUID(segment) {
		return "", false
	}
	return strings.ToLower(segment), true
}

// guid is the form of a UUID (RFC 9562 §4).
var guid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// IsGUID reports whether text has the form in which Entra writes its ids, in either
// case.
func IsGUID(text string) bool { return guid.MatchString(text) }
