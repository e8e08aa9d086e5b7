package policytest

import (
	"context"
	"errors"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/config"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/policy"
)

// answers are what a case says that others would answer.
type answers struct{ *v1alpha1.PolicyTestCase }

// options have those answers in the place of Microsoft Graph's and other clusters'.
func (a answers) options(options issuers.Options) config.Options {
	return config.Options{
		Options:  options,
		Groups:   func(*config.Issuer) policy.GroupResolver { return a },
		Liveness: func(*config.Issuer) policy.LivenessChecker { return a },
	}
}

// Groups answers in the place of Microsoft Graph.
func (a answers) Groups(context.Context, string, bool) (groups []string, known bool, err error) {
	switch graph := a.Graph; {
	case graph == nil:
		return nil, false, errors.New("the case does not say what Microsoft Graph would answer: add graph")
	case graph.Error != "":
		return nil, false, errors.New(graph.Error)
	default:
		return graph.Groups, !graph.Unknown, nil
	}
}

// Check answers in the place of the cluster that issued the token.
func (a answers) Check(context.Context, string, []string, string) (problem string, err error) {
	switch a.Liveness {
	case v1alpha1.PolicyTestNotLive:
		return "liveness is NotLive in the case", nil
	case v1alpha1.PolicyTestUnavailable:
		return "", errors.New("liveness is Unavailable in the case")
	default:
		return "", nil
	}
}
