package liveness

import (
	"fmt"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"

	"tokenreview.dev/webhook/internal/redact"
)

// verdict says why status does not show that the token of subject is alive for one of
// audiences, or nothing if it does.
func verdict(status *authenticationv1.TokenReviewStatus, audiences []string, subject, token string) string {
	switch {
	case !status.Authenticated && status.Error != "":
		return "the cluster that issued the token does not honour it: " + redact.Line(status.Error, token)
	case !status.Authenticated:
		return "the cluster that issued the token does not honour it"
	case status.User.Username != subject:
		return fmt.Sprintf("the cluster that issued the token takes it for %q, expected %q",
			redact.Line(status.User.Username, token), redact.Line(subject, token))
	case len(status.Audiences) == 0:
		// TokenReviewStatus: without audiences, the token is valid for that API server,
		// whatever audiences were asked about.
		return "the cluster that issued the token does not say for which audiences it honours it"
	case !slices.ContainsFunc(status.Audiences, func(audience string) bool { return slices.Contains(audiences, audience) }):
		return "the cluster that issued the token does not honour it for any of its audiences"
	}
	return ""
}
