package policy

import (
	"context"
	"fmt"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/reason"
)

// liveness asks the cluster that issued a token whether it still honours it: the
// signature does not know that the pod or the account was deleted.
type liveness struct {
	checker LivenessChecker
	// signatureSuffices: while that cluster cannot be asked, the signature counts
	// alone.
	signatureSuffices bool
	auditOnly         bool
}

func newLiveness(config *Config) *liveness {
	spec := config.Policy.Kubernetes
	return &liveness{
		checker:           config.Liveness,
		signatureSuffices: spec != nil && spec.LivenessOnFailure == v1alpha1.LivenessFailureSignature,
		auditOnly:         config.Policy.Enforcement == v1alpha1.EnforcementAudit,
	}
}

func (l *liveness) check(ctx context.Context, r *review) (reason.Refusal, error) {
	// The issuers have checked the claim's form; sub is that of a service account.
	audiences, _ := r.Claims.Strings("aud")
	subject, err := r.Claims.String("sub")
	if err != nil {
		return reason.Refusal{Code: reason.NotLive, Text: fmt.Sprintf("sub: %v", err)}, nil
	}
	problem, err := l.checker.Check(ctx, r.Token, audiences, subject)
	switch {
	case err != nil:
		unavailable := &reason.Unavailable{Code: reason.LivenessUnavailable, Err: err}
		if !l.signatureSuffices || l.auditOnly {
			return reason.Refusal{}, unavailable
		}
		r.spare(unavailableRefusal(unavailable))
		return reason.Refusal{}, nil
	case problem != "":
		return reason.Refusal{Code: reason.NotLive, Text: problem}, nil
	}
	return reason.Refusal{}, nil
}
