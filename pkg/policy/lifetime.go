package policy

import (
	"context"
	"fmt"
	"time"

	"tokenreview.dev/webhook/pkg/reason"
)

// issuedAtLeeway is how far ahead iat may lie because issuers' clocks differ.
const issuedAtLeeway = time.Minute

// lifetime bounds how long a token is valid from when it was issued (RFC 7519
// §4.1.4, §4.1.6). One that claims to be issued later is valid from now, like any
// other: whoever could move iat with exp would have as long a token as they like.
type lifetime struct {
	longest time.Duration
	now     func() time.Time
}

func (l lifetime) check(_ context.Context, r *review) reason.Refusal {
	refuse := func(text string) reason.Refusal {
		return reason.Refusal{Code: reason.LifetimeTooLong, Text: text}
	}
	issued, present, err := r.Claims.Time("iat")
	if err != nil || !present {
		return refuse(fmt.Sprintf("the token does not say when it was issued (iat), and token.maxLifetime is %s", l.longest))
	}
	expiry, present, err := r.Claims.Time("exp")
	if err != nil || !present {
		return refuse(fmt.Sprintf("the token does not say when it expires (exp), and token.maxLifetime is %s", l.longest))
	}
	from := "exp - iat"
	if now := l.now().Truncate(time.Second); issued.After(now.Add(issuedAtLeeway)) {
		issued, from = now, "from now, as its iat lies ahead"
	}
	lived := expiry.Sub(issued)
	if lived > l.longest {
		return refuse(fmt.Sprintf("the token is valid for %s (%s), and token.maxLifetime is %s", lived, from, l.longest))
	}
	if r.traced {
		r.note = fmt.Sprintf("%s of at most %s", lived, l.longest)
	}
	return reason.Refusal{}
}
