package policy

import (
	"context"
	"errors"
	"fmt"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/reason"
)

// liveness asks the cluster that issued a token whether it still honours it: the
// signature does not know that the pod or the account was deleted.
type liveness struct {
	checker LivenessChecker
	// signatureSuffices: while that cluster is away, the signature counts alone.
	signatureSuffices bool
}

func newLiveness(config *Config) *liveness {
	return &liveness{
		checker:           config.Liveness,
		signatureSuffices: config.Policy.Kubernetes.LivenessOnFailure == v1alpha1.LivenessFailureSignature,
	}
}

func (l *liveness) check(ctx context.Context, r *review) (reason.Refusal, error) {
	// The issuers have checked the claim's form; sub is that of a service account.
	audiences, _ := r.Claims.Strings("aud")
	subject, err := r.Claims.String("sub")
	if err != nil {
		return reason.Refusal{Code: reason.NotLive, Text: fmt.Sprintf("sub: %v", err)}, nil
	}
	if l.checker == nil {
		return reason.Refusal{}, &reason.Unavailable{Code: reason.LivenessUnavailable, Err: errors.New("there is nobody to ask whether the token is alive")}
	}
	r.asked = true
	problem, err := l.checker.Check(ctx, r.Token, audiences, subject)
	if err != nil {
		return reason.Refusal{}, &reason.Unavailable{Code: reason.LivenessUnavailable, Err: err}
	}
	if problem != "" {
		return reason.Refusal{Code: reason.NotLive, Text: problem}, nil
	}
	if r.traced {
		r.note = fmt.Sprintf("the cluster that issued the token honours it for %.200q", subject)
	}
	return reason.Refusal{}, nil
}

// spares lets tokens in while the cluster is away for all of them. A question that
// fails for one token, or because there are too many, may be the doing of whoever
// holds a token that is no longer alive.
func (l *liveness) spares(err error) bool {
	var away interface{ Away() bool }
	return l.signatureSuffices && errors.As(err, &away) && away.Away()
}
