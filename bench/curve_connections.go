package main

import "context"

// connections asks over more and more connections, each with a client.
func (b *bench) connections(ctx context.Context, r *report) error {
	null, err := b.startNull(ctx)
	if err != nil {
		return err
	}
	defer null.stop()
	webhook, err := b.startWebhook(ctx, b.a.configuration)
	if err != nil {
		return err
	}
	defer webhook.stop()
	beside := curve{
		what: "connections, throughput of one token repeated beside the null server's with as many",
		why: "one client at a time waits for the network stack as well as for the answer; " +
			"with more the processors are always busy, and only what they have to do counts",
	}
	alone := curve{
		what: "connections, the same throughput alone",
		why: "one client leaves a core idle while it waits for its answer, and more connections are more work for a server; " +
			"the row above has what is the webhook's own",
	}
	var firstBeside, firstAlone float64
	for i, n := range b.sizes.connections {
		nulls, ours, err := b.overConnections(ctx, null, webhook.server, n)
		if err != nil {
			return err
		}
		ratio, speed := ours.perSecond.over(nulls.perSecond), ours.perSecond.median()
		if i == 0 {
			firstBeside, firstAlone = ratio.median(), speed
			beside.first, alone.first = spread(ratio), perSecond(ours.perSecond)
		}
		beside.points = append(beside.points, point{thousands(n), ratio.median() / firstBeside})
		alone.points = append(alone.points, point{thousands(n), speed / firstAlone})
	}
	r.curves = append(r.curves, beside, alone)
	return nil
}

func (b *bench) overConnections(ctx context.Context, null, webhook *server, n int) (nulls, ours turns, err error) {
	token := always(b.minter.next())
	var all []asked
	for _, server := range []*server{null, webhook} {
		clients, err := b.newClients(server, n, false)
		if err != nil {
			return turns{}, turns{}, err
		}
		defer clients.close()
		all = append(all, asked{clients: clients, body: token})
	}
	if _, err := takeTurnsAsking(ctx, 1, b.slice, all); err != nil {
		return turns{}, turns{}, err
	}
	results, err := takeTurnsAsking(ctx, b.rounds, b.request(), all)
	if err != nil {
		return turns{}, turns{}, err
	}
	return results[0], results[1], nil
}
