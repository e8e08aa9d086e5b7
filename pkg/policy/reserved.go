package policy

import (
	"context"
	"fmt"
	"strings"

	"tokenreview.dev/webhook/pkg/reason"
)

// ReservedPrefix begins the names that Kubernetes itself gives out. The API server
// takes over what a webhook says, system:masters included.
const ReservedPrefix = "system:"

func (p *Policy) checkReservedNames(_ context.Context, r *review) reason.Refusal {
	if p.allowReservedNames {
		if r.traced {
			r.note = "reservedNames is Allow"
		}
		return reason.Refusal{}
	}
	if strings.HasPrefix(r.user.Name, ReservedPrefix) {
		return reason.Refusal{Code: reason.ReservedName, Text: fmt.Sprintf("the username %.200q begins with %q", r.user.Name, ReservedPrefix)}
	}
	for _, group := range r.user.Groups {
		if strings.HasPrefix(group, ReservedPrefix) {
			return reason.Refusal{Code: reason.ReservedName, Text: fmt.Sprintf("the group %.200q begins with %q", group, ReservedPrefix)}
		}
	}
	if r.traced {
		r.note = fmt.Sprintf("neither the username nor any of the groups (%d) begins with %q", len(r.user.Groups), ReservedPrefix)
	}
	return reason.Refusal{}
}
