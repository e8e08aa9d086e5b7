package policytest

import (
	"context"
	"errors"
	"strings"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/config"
	"tokenreview.dev/webhook/pkg/entra"
	"tokenreview.dev/webhook/pkg/issuers"
)

// answers are what a case says that others would answer.
type answers struct{ *v1alpha1.PolicyTestCase }

// options have those answers in the place of Microsoft Graph's and other clusters'.
func (a answers) options(options issuers.Options) config.Options {
	return config.Options{
		Options:  options,
		Groups:   a,
		Liveness: a,
	}
}

// Groups answers in the place of Microsoft Graph, and as entra.Graph makes of what
// that says.
func (a answers) Groups(_ context.Context, objectID string, _ bool) (groups []string, known bool, err error) {
	switch graph := a.Graph; {
	case !entra.IsGUID(objectID):
		return nil, false, nil // Nobody is asked.
	case graph == nil:
		return nil, false, errors.New("the case does not say what Microsoft Graph would answer: add graph")
	case graph.Error != "":
		return nil, false, errors.New(graph.Error)
	default:
		for _, group := range graph.Groups {
			groups = append(groups, strings.ToLower(group))
		}
		return groups, !graph.Unknown, nil
	}
}

// Check answers in the place of the cluster that issued the token.
func (a answers) Check(context.Context, string, []string, string) (problem string, err error) {
	switch a.Liveness {
	case v1alpha1.PolicyTestNotLive:
		return "liveness is NotLive in the case", nil
	case v1alpha1.PolicyTestUnavailable:
		return "", away{errors.New("liveness is Unavailable in the case")}
	default:
		return "", nil
	}
}

// away is the error of a cluster that cannot be asked about any token.
type away struct{ error }

// Away is what policy.LivenessChecker wants to know.
func (away) Away() bool { return true }
