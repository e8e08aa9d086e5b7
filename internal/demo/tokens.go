package main

import (
	"os"
	"path/filepath"
	"time"
)

// writeTokens writes every token, and the TokenReview that asks about it, to files
// that only their owner can read.
func (d demonstration) writeTokens(now time.Time) error {
	for _, folder := range []string{d.tokens(), d.reviews()} {
		// What an earlier run left was signed with keys that are gone.
		if err := os.RemoveAll(folder); err != nil {
			return err
		}
	}
	for _, c := range d.cases {
		for _, folder := range []string{d.tokens(), d.reviews()} {
			if err := os.MkdirAll(filepath.Join(folder, c.Name), 0o700); err != nil {
				return err
			}
		}
		for _, token := range c.Tokens(now) {
			signed := d.issuers.Sign(c, token)
			review, err := request(apiVersions[0], signed)
			if err != nil {
				return err
			}
			name := filepath.Join(c.Name, token.FileName())
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
