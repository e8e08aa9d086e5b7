package main

import (
	"strings"
	"testing"

	"tokenreview.dev/webhook/pkg/tokenreview"
)

// reached tells of each bar whether it is reached, in their order.
func reached(bars []bar) string {
	var said []string
	for _, b := range bars {
		if b.reached {
			said = append(said, "yes")
		} else {
			said = append(said, "no")
		}
	}
	return strings.Join(said, " ")
}

func TestWhenADecisionReachesItsBars(t *testing.T) {
	for _, test := range []struct {
		name                                  string
		signature, uncached, cached, upstream float64 // in nanoseconds
		leftUncached, leftCached              float64
		want                                  string
	}{
		{"as slow as each may be", 1000, 2000, 3000, 6000, 120, 8, "yes yes yes yes yes"},
		{"more than twice the signature", 999, 2000, 3000, 6000, 120, 8, "no yes yes yes yes"},
		{"less than three times as fast as upstream", 1000, 2000, 3000, 5999, 120, 8, "yes no yes yes yes"},
		{"allocations", 1000, 2000, 3000, 6000, 121, 8, "yes yes no yes yes"},
		{"a slow lookup", 1000, 2000, 3001, 6000, 120, 8, "yes yes yes no yes"},
		{"allocations of a lookup", 1000, 2000, 3000, 6000, 120, 9, "yes yes yes yes no"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r report
			r.decided(sample{test.signature}, sample{test.uncached}, sample{test.cached}, sample{test.upstream},
				allocated{count: test.leftUncached}, allocated{count: test.leftCached}, allocated{})
			if got := reached(r.bars); got != test.want {
				t.Errorf("expected %s, got %s", test.want, got)
			}
		})
	}
}

func TestWhenAnswersOverHTTPSReachTheirBars(t *testing.T) {
	null := turns{perSecond: sample{1000}, p99: sample{1000}}
	for _, test := range []struct {
		name        string
		same, fresh turns
		want        string
	}{
		{"as slow as each may be", turns{perSecond: sample{900}, p99: sample{2000}}, turns{perSecond: sample{600}, p99: sample{2000}}, "yes yes yes yes"},
		{"too slow", turns{perSecond: sample{899}, p99: sample{2000}}, turns{perSecond: sample{599}, p99: sample{2000}}, "no yes no yes"},
		{"a few too slow", turns{perSecond: sample{900}, p99: sample{2001}}, turns{perSecond: sample{600}, p99: sample{2001}}, "yes no yes no"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r report
			r.overHTTPS(null, test.same, test.fresh)
			if got := reached(r.bars); got != test.want {
				t.Errorf("expected %s, got %s", test.want, got)
			}
		})
	}
}

func TestWhatIsMeasuredAsUncachedAndAsCachedIsThat(t *testing.T) {
	a, err := startCaseA()
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	_, rules, err := rulesOf(t.Context(), a.configuration)
	if err != nil {
		t.Fatal(err)
	}
	defer rules.Issuers.Close(nil)
	token := a.issuer.Sign(a.token.Claims)
	for _, test := range []struct {
		name     string
		reviewer *tokenreview.Reviewer
		cached   bool
	}{
		{"uncached", uncached(rules), false},
		{"cached", cached(rules), true},
	} {
		for _, again := range []bool{false, true} {
			answer := test.reviewer.Review(t.Context(), token, nil, nil)
			if answer.User == nil || answer.Cached != (again && test.cached) {
				t.Errorf("%s, again %v: expected a user, cached %v, got %v, cached %v", test.name, again, again && test.cached, answer.User, answer.Cached)
			}
		}
	}
}
