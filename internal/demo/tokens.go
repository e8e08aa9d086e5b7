package main

import (
	"os"
	"path/filepath"
	"time"

	"tokenreview.dev/webhook/internal/issuertest"
)

// tokenLifetime is how long the tokens that are written to files can be used: a
// working day. Real ones live for minutes.
const tokenLifetime = 12 * time.Hour

// writeTokens writes every token, and the TokenReview that asks about it, to files
// that only their owner can read.
func (d demonstration) writeTokens(now time.Time) error {
	for _, folder := range []string{d.tokens(), d.reviews()} {
		// What an earlier run left was signed with keys that are gone.
		if err := os.RemoveAll(folder); err != nil {
			return err
		}
		if err := os.Mkdir(folder, 0o700); err != nil {
			return err
		}
	}
	for _, c := range d.cases {
		for _, token := range c.Tokens(now) {
			token.Claims = lasting(token.Claims, now)
			signed := d.issuers.Sign(c, token)
			review, err := request(apiVersions[0], signed)
			if err != nil {
				return err
			}
			name := c.Name + "-" + token.Name
			if err := os.WriteFile(filepath.Join(d.tokens(), name+".jwt"), []byte(signed), 0o600); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(d.reviews(), name+".json"), review, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o options) tokens() string  { return filepath.Join(o.dir, "tokens") }
func (o options) reviews() string { return filepath.Join(o.dir, "reviews") }

// lasting lets claims that have not expired do so later.
func lasting(claims issuertest.Claims, now time.Time) issuertest.Claims {
	if expiry, ok := claims["exp"].(int64); !ok || expiry <= now.Unix() {
		return claims
	}
	return claims.With(issuertest.Claims{"exp": now.Add(tokenLifetime).Unix()})
}
