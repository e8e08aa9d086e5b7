package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"tokenreview.dev/webhook/internal/certs"
)

// bench is what everything is measured with.
type bench struct {
	options
	// dir is a folder for this run alone.
	dir string
	// pki is the folder of the certificates that `webhook certs init` makes.
	pki    string
	a      *caseA
	minter *minter // of tokens of case A
}

func newBench(ctx context.Context, opts options, dir string) (*bench, error) {
	if _, err := os.Stat(opts.webhook); err != nil {
		return nil, fmt.Errorf("%w: make build makes it", err)
	}
	b := &bench{options: opts, dir: dir, pki: filepath.Join(dir, "pki")}
	if _, err := certs.Init(certs.DefaultOptions(b.pki)); err != nil {
		return nil, err
	}
	var err error
	if b.a, err = startCaseA(); err != nil {
		return nil, err
	}
	if b.minter, err = newMinter(b.a.issuer.Key(), b.a.token.Claims); err != nil {
		b.close()
		return nil, err
	}
	return b, ctx.Err()
}

func (b *bench) close() { b.a.close() }
