package policy_test

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"tokenreview.dev/webhook/pkg/policy"
)

// BenchmarkGitHubActionsAllow shows that the number of rules does not matter, to
// those who are let in nor to strangers. It takes turns with 10 and with 10,000 rules,
// and reports the median time of each and how many times the one the other is.
func BenchmarkGitHubActionsAllow(b *testing.B) {
	type claims = map[string]any
	for _, test := range []struct {
		name     string
		admitted bool
		changes  claims
	}{
		{"admitted/repository", true, claims{"repository": "octo-1/app-3", "repository_id": "1003", "repository_owner": "octo-1", "repository_owner_id": "5001"}},
		{"admitted/owner", true, claims{"repository": "team-4/any", "repository_id": "1", "repository_owner": "team-4", "repository_owner_id": "6004"}},
		{"admitted/id", true, claims{"repository": "some/name", "repository_id": "2005", "repository_owner": "some", "repository_owner_id": "2"}},
		{"refused/stranger", false, claims{"repository": "evil/app-3", "repository_id": "1", "repository_owner": "evil", "repository_owner_id": "2"}},
		{"refused/other repository of the owner", false, claims{"repository": "octo-1/other", "repository_id": "1", "repository_owner": "octo-1", "repository_owner_id": "5001"}},
		{"refused/other repository of the name", false, claims{"repository": "octo-1/app-3", "repository_id": "1", "repository_owner": "octo-1", "repository_owner_id": "5001"}},
		{"refused/other ref", false, claims{"repository": "octo-1/app-3", "repository_id": "1003", "repository_owner": "octo-1", "repository_owner_id": "5001", "ref": "refs/heads/dev"}},
		{"refused/other owner of the name", false, claims{"repository": "team-4/any", "repository_id": "1", "repository_owner": "team-4", "repository_owner_id": "2"}},
		{"refused/renamed", false, claims{"repository": "octo-1/new", "repository_id": "1003", "repository_owner": "octo-1", "repository_owner_id": "5001"}},
	} {
		b.Run(test.name, func(b *testing.B) {
			request := policy.Request{Claims: githubClaims(b, test.changes)}
			numbers := []int{10, 10_000}
			var policies []*policy.Policy
			for _, number := range numbers {
				policies = append(policies, newGitHubPolicy(manyGitHubRules(number)...))
			}
			runtime.GC() // of what making them has left
			times := make([][]float64, len(numbers))
			for b.Loop() {
				for i, p := range policies {
					const decisions = 100
					began := time.Now()
					for range decisions {
						decision, err := p.Decide(b.Context(), request, nil)
						if err != nil || (decision.User != nil) != test.admitted {
							b.Fatal(decision, err)
						}
					}
					times[i] = append(times[i], float64(time.Since(began))/decisions)
				}
			}
			for i, number := range numbers {
				slices.Sort(times[i])
				b.ReportMetric(times[i][len(times[i])/2], fmt.Sprintf("ns/%d-rules", number))
			}
			b.ReportMetric(times[1][len(times[1])/2]/times[0][len(times[0])/2], "ratio")
			b.ReportMetric(0, "ns/op") // of both together
		})
	}
}

// manyGitHubRules mixes the ways to write a rule: the repositories of one owner by
// name and id, whole owners, and ids alone.
func manyGitHubRules(number int) []githubRule {
	rules := make([]githubRule, number)
	for i := range rules {
		switch i % 5 {
		default:
			rules[i] = githubRule{Repository: fmt.Sprintf("octo-1/app-%d", i), RepositoryID: fmt.Sprint(1000 + i), OwnerID: "5001", Refs: []string{"refs/heads/main"}, Groups: []string{"deployers"}}
		case 4:
			owner := fmt.Sprintf("team-%d", i)
			rules[i] = githubRule{Repository: owner + "/*", OwnerID: fmt.Sprint(6000 + i), Refs: []string{"refs/heads/*"}}
			if i%2 == 0 {
				rules[i].Repository, rules[i].Owner = "", owner
			}
		case 0:
			rules[i] = githubRule{RepositoryID: fmt.Sprint(2000 + i)}
		}
	}
	return rules
}
