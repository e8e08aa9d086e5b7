package main

import (
	"slices"
	"strings"
	"time"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/reason"
)

// reasonCase is a token and what must be said about it.
type reasonCase struct {
	name  string
	token string
	// issuer is the short name of the issuer that the token says it is from, empty for
	// none of the configuration's.
	issuer string
	// code is empty for a token that is accepted.
	code reason.Code
	// check is the one that refuses, or would refuse, in the trace.
	check string
	// wouldRefuse is what the policy records and does not enforce.
	wouldRefuse reason.Code
}

// reason is the word that must stand everywhere.
func (c *reasonCase) reason() string {
	if c.code == "" {
		return reason.Allowed
	}
	return string(c.code)
}

// reasonCases has a token for each code, each with a signature of key's unless it is the
// signature that is wrong. A token of away is from the issuer that has no keys.
func reasonCases(key issuertest.Key, away string, cluster *buildCluster) []reasonCase {
	now := time.Now()
	in := func(d time.Duration) int64 { return now.Add(d).Unix() }
	base := issuertest.Claims{"aud": "cluster", "sub": "jane", "jti": "4f1d2c6e", "iat": in(0), "exp": in(30 * time.Minute)}
	people := base.With(issuertest.Claims{"iss": "https://people.example.com", "team": "red", "email_verified": true})
	github := base.With(issuertest.Claims{
		"iss": "https://token.actions.githubusercontent.com", "sub": "repo:octo-org/shop:ref:refs/heads/main",
		"repository": "octo-org/shop", "repository_id": "1020257999", "repository_owner_id": "82603435",
	})
	stranger := issuertest.Claims{"repository": "mallory/shop", "repository_id": "6"}
	entra := base.With(issuertest.Claims{
		"iss": "https://login.microsoftonline.com/" + entraTenant + "/v2.0", "ver": "2.0",
		"tid": entraTenant, "oid": entraUser, "azp": entraClient, "scp": "access",
	})
	overage := func(objectID string) issuertest.Claims {
		return entra.With(issuertest.Claims{"oid": objectID, "hasgroups": true})
	}
	account := func(namespace, jti string) issuertest.Claims {
		return base.With(issuertest.Claims{
			"iss": "https://build.example.com", "sub": "system:serviceaccount:" + namespace + ":deployer", "jti": jti,
			"kubernetes.io": issuertest.Claims{
				"namespace":      namespace,
				"serviceaccount": issuertest.Claims{"name": "deployer", "uid": "7c56382f-440d-44bb-8534-07c23eeb015b"},
			},
		})
	}
	deleted, unclear := key.Sign(account("ci", "deleted")), key.Sign(account("ci", "unclear"))
	cluster.notLive, cluster.failing = deleted, unclear

	person := func(name string, code reason.Code, check string, changes issuertest.Claims) reasonCase {
		return reasonCase{name: name, token: key.Sign(people.With(changes)), issuer: "people", code: code, check: check}
	}
	return []reasonCase{
		{name: "a token that is accepted", token: key.Sign(people), issuer: "people"},
		{name: "a run that an allow-list admits", token: key.Sign(github), issuer: "github"},
		{name: "a run that an allow-list would not admit", issuer: "github-trial", check: "githubActions.allow", wouldRefuse: reason.RepositoryNotAllowed,
			token: key.Sign(github.With(stranger).With(issuertest.Claims{"iss": "https://token.actions.githubusercontent.com/octo-enterprise"}))},

		{name: "no JWT", token: "3f79bb7b435b05321651daefd374cdc681dc06fa", code: reason.TokenMalformed, check: "token"},
		person("a token of ours with a sub that is no text", reason.TokenMalformed, "claims", issuertest.Claims{"sub": 7}),
		{name: "an issuer that nobody has configured", code: reason.IssuerUnknown, check: "iss",
			token: key.Sign(people.With(issuertest.Claims{"iss": "https://issuer.example.com"}))},
		{name: "an algorithm that nobody has named", issuer: "people", code: reason.AlgorithmNotAllowed, check: "alg",
			token: issuertest.NewKey(key.ID, "EdDSA").Sign(people)},
		{name: "an issuer without keys", issuer: "away", code: reason.KeysUnavailable, check: "keys",
			token: key.Sign(base.With(issuertest.Claims{"iss": away}))},
		{name: "a key that nobody has published", issuer: "people", code: reason.KeyUnknown, check: "signature",
			token: issuertest.NewKey("another", key.Algorithm).Sign(people)},
		{name: "another key by the name of the issuer's", issuer: "people", code: reason.SignatureInvalid, check: "signature",
			token: issuertest.NewKey(key.ID, key.Algorithm).Sign(people)},
		person("a token for somebody else", reason.AudienceMismatch, "aud", issuertest.Claims{"aud": "another"}),
		person("a token of the last hour", reason.Expired, "times", issuertest.Claims{"iat": in(-time.Hour), "exp": in(-time.Minute)}),
		person("a token of the next hour", reason.NotYetValid, "times", issuertest.Claims{"nbf": in(20 * time.Minute)}),
		person("a token of two hours", reason.LifetimeTooLong, "token.maxLifetime", issuertest.Claims{"exp": in(2 * time.Hour)}),
		person("an address that is not verified", reason.EmailNotVerified, "emailVerified", issuertest.Claims{"email_verified": false}),
		{name: "a stranger's repository", token: key.Sign(github.With(stranger)), issuer: "github", code: reason.RepositoryNotAllowed, check: "githubActions.allow"},
		{name: "a guest of another tenant", issuer: "entra", code: reason.TenantNotAllowed, check: "entra.tenantIDs",
			token: key.Sign(entra.With(issuertest.Claims{"tid": "9188040d-6c67-4c5b-b112-36a304b66dad"}))},
		{name: "another application", issuer: "entra", code: reason.ClientNotAllowed, check: "entra.clientIDs",
			token: key.Sign(entra.With(issuertest.Claims{"azp": "04b07795-8ddb-461a-bbee-02f9e1bf7b46"}))},
		{name: "an application without a user", issuer: "entra", code: reason.AppOnlyToken, check: "entra.appOnlyTokens",
			token: key.Sign(entra.With(issuertest.Claims{"idtyp": "app"}))},
		{name: "a user in many groups whom Graph does not know", issuer: "entra", code: reason.GroupOverage, check: "entra.groupOverage",
			token: key.Sign(overage(entraDeleted))},
		{name: "a user in many groups about whom Graph does not answer", issuer: "entra", code: reason.ClaimsUnavailable, check: "entra.groupOverage",
			token: key.Sign(overage(entraUser))},
		{name: "an account that nobody admits", token: key.Sign(account("cd", "cd")), issuer: "build", code: reason.ServiceAccountNotAllowed, check: "kubernetes.allow"},
		person("nobody's name", reason.MappingFailed, "username", issuertest.Claims{"sub": ""}),
		person("a guest", reason.ClaimRuleFailed, "claimValidationRules", issuertest.Claims{"team": "guests"}),
		person("a user whom a rule refuses", reason.UserRuleFailed, "userValidationRules", issuertest.Claims{"sub": "mallory"}),
		person("a group of Kubernetes' own", reason.ReservedName, "reservedNames", issuertest.Claims{"groups": []string{"system:masters"}}),
		{name: "an account whose pod is gone", token: deleted, issuer: "build", code: reason.NotLive, check: "kubernetes.liveness"},
		{name: "an account about which its cluster does not answer", token: unclear, issuer: "build", code: reason.LivenessUnavailable, check: "kubernetes.liveness"},
	}
}

// secrets are the parts of a token, in pieces: no more of it than a piece may be
// anywhere.
func secrets(token string) []string {
	var pieces []string
	for part := range strings.SplitSeq(token, ".") {
		for piece := range slices.Chunk([]byte(part), 12) {
			if len(piece) == 12 {
				pieces = append(pieces, string(piece))
			}
		}
	}
	return pieces
}
