package main

import (
	"context"
	"fmt"
	"time"

	"tokenreview.dev/webhook/internal/acceptance"
)

// starts measures how long the real process takes from its start until it is ready, with
// three issuers that have to be asked for their keys.
func (b *bench) starts(ctx context.Context, r *report) error {
	cases, err := casesNamed(namesOfStart...)
	if err != nil {
		return err
	}
	issuers := acceptance.StartIssuers(cases)
	defer issuers.Close()
	if len(issuers) != len(cases) {
		return fmt.Errorf("the cases %q have %d issuers: choose cases with different ones", namesOfStart, len(issuers))
	}
	configuration, err := acceptance.Configuration(cases, issuers)
	if err != nil {
		return err
	}
	var took sample
	for range b.sizes.starts {
		server, err := b.startWebhook(ctx, configuration)
		if err != nil {
			return err
		}
		server.stop()
		took = append(took, float64(server.took))
	}
	r.bars = append(r.bars, bar{
		what:     fmt.Sprintf("start of the process to ready, %d issuers on loopback", len(issuers)),
		must:     "≤ 1 s",
		measured: fmt.Sprintf("%.0f ms (%.0f–%.0f ms), of %d starts", took.median()/1e6, took.quantile(0)/1e6, took.quantile(1)/1e6, len(took)),
		reached:  took.median() <= float64(time.Second),
	})
	return nil
}
