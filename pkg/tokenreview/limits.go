package tokenreview

import "sync/atomic"

// Limits bound what callers take up, whoever they are.
type Limits struct {
	// MaxRequestsInFlight is how many requests may be under way at a time. A Handler
	// answers 429 to those beyond, at once: nothing queues.
	MaxRequestsInFlight int
	// MaxConnections is how many connections a server may have at a time. It is for the
	// server that listens.
	MaxConnections int
}

// DefaultLimits suit a control plane. An API server has up to 250 requests under way
// on its one connection, each of some kilobytes, and opens another one for more. A
// request holds up to 150 KiB while it is read.
func DefaultLimits() Limits { return Limits{MaxRequestsInFlight: 500, MaxConnections: 512} }

func (l Limits) orDefault() Limits {
	defaults := DefaultLimits()
	if l.MaxRequestsInFlight == 0 {
		l.MaxRequestsInFlight = defaults.MaxRequestsInFlight
	}
	if l.MaxConnections == 0 {
		l.MaxConnections = defaults.MaxConnections
	}
	return l
}

// MaxConnections is how many connections a server may have now.
func (r *Reviewer) MaxConnections() int { return r.inForce.Load().limits.MaxConnections }

// enter lets a request in, unless too many are under way. Whoever got in leaves.
func (r *Reviewer) enter() bool { return r.requests.enter(r.inForce.Load().limits.MaxRequestsInFlight) }

func (r *Reviewer) leave() { r.requests.leave() }

// gate counts those who are inside. It is safe for concurrent use.
type gate struct{ inside atomic.Int64 }

// enter reports whether fewer than limit were inside. Whoever got in leaves.
func (g *gate) enter(limit int) bool {
	if g.inside.Add(1) > int64(limit) {
		g.inside.Add(-1)
		return false
	}
	return true
}

func (g *gate) leave() { g.inside.Add(-1) }

func (g *gate) count() int64 { return g.inside.Load() }

// maxShares is how many issuers at the most divide the requests among them.
const maxShares = 4

// shares bound how many requests may be under way with proven tokens of one issuer:
// where the policy of one asks somebody who hangs, there is room for the others'.
type shares struct {
	limit  int
	issuer map[string]*gate
}

// newShares goes on with those before: what is under way by the former rules counts.
func newShares(rules *Rules, limits Limits, before shares) shares {
	issuers := len(rules.Policies)
	s := shares{issuer: make(map[string]*gate, issuers), limit: max(1, limits.MaxRequestsInFlight/max(1, min(maxShares, issuers)))}
	for name := range rules.Policies {
		if s.issuer[name] = before.issuer[name]; s.issuer[name] == nil {
			s.issuer[name] = &gate{}
		}
	}
	return s
}
