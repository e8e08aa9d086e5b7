package config

import (
	"time"

	"tokenreview.dev/webhook/pkg/entra"
	"tokenreview.dev/webhook/pkg/liveness"
	"tokenreview.dev/webhook/pkg/policy"
)

// asked are those who are asked while a token is decided. There is one for each way to
// ask, whichever issuers have it in common and over changes of the configuration: it
// remembers answers, and for how long not to ask.
type asked struct {
	options Options
	graphs  map[entra.GraphConfig]*entra.Graph
	checks  map[liveness.Config]*liveness.Checker
}

// newAsked returns those whom the policies from before ask, to go on with.
func newAsked(previous map[string]*policy.Policy, options Options) *asked {
	a := &asked{options: options, graphs: map[entra.GraphConfig]*entra.Graph{}, checks: map[liveness.Config]*liveness.Checker{}}
	for _, p := range previous {
		groups, live := p.Asked()
		if graph, ok := groups.(*entra.Graph); ok {
			a.graphs[graph.Config()] = graph
		}
		if checker, ok := live.(*liveness.Checker); ok {
			a.checks[checker.Config()] = checker
		}
	}
	return a
}

func (a *asked) groupResolver(config entra.GraphConfig) policy.GroupResolver {
	if a.options.Groups != nil {
		return a.options.Groups
	}
	if a.graphs[config] == nil {
		a.graphs[config] = entra.NewGraph(config, entra.GraphOptions{
			Now:        a.options.Now,
			OnAnswer:   answers(a.options.OnGraphAnswer, config.Tenant),
			OnQuestion: questions(a.options.OnGraphQuestion, config.Tenant),
		})
	}
	return a.graphs[config]
}

func (a *asked) livenessChecker(config liveness.Config) policy.LivenessChecker {
	if a.options.Liveness != nil {
		return a.options.Liveness
	}
	if a.checks[config] == nil {
		a.checks[config] = liveness.New(config, liveness.Options{
			Now:        a.options.Now,
			OnAnswer:   answers(a.options.OnLivenessAnswer, config.Kubeconfig),
			OnQuestion: questions(a.options.OnLivenessQuestion, config.Kubeconfig),
		})
	}
	return a.checks[config]
}

// answers and questions tell observe by which name it is asked.
func answers(observe func(string, bool, error), name string) func(bool, error) {
	if observe == nil {
		return nil
	}
	return func(cached bool, err error) { observe(name, cached, err) }
}

func questions(observe func(string, time.Duration), name string) func(time.Duration) {
	if observe == nil {
		return nil
	}
	return func(took time.Duration) { observe(name, took) }
}
