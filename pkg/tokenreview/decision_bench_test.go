package tokenreview_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"tokenreview.dev/webhook/internal/acceptance"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

// BenchmarkDecision shows what a decision that is made anew costs beside the one thing in it that cannot be
// saved, the check of the signature, and beside upstream's authenticator. It takes turns
// with all three about one token of GitHub's, on one processor, and reports the median time
// of each and how many times the one the other is. Upstream knows no allow-list: beside
// one, it does less.
func BenchmarkDecision(b *testing.B) {
	for _, test := range []struct{ configuration, token string }{
		{"a-github-actions", "a workflow on the branch main"},
		{"a-github-actions-allow", "a deployment from main"},
	} {
		b.Run(test.configuration, func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			c := acceptanceCase(b, test.configuration)
			running := acceptance.StartIssuers([]acceptance.Case{c})
			b.Cleanup(running.Close)
			data, err := acceptance.Configuration([]acceptance.Case{c}, running)
			if err != nil {
				b.Fatal(err)
			}
			reviewer, loaded := newReviewer(b, data)
			anew := *reviewer.Rules()
			anew.Decisions = tokenreview.DecisionCache{}
			reviewer.Use(&anew)
			theirs := upstream(b, loaded)[0]
			accepted, _ := c.Token(test.token, time.Now())
			token := running.Sign(c, accepted)
			input, encoded := token[:strings.LastIndexByte(token, '.')], token[strings.LastIndexByte(token, '.')+1:]
			signature, err := base64.RawURLEncoding.DecodeString(encoded)
			if err != nil {
				b.Fatal(err)
			}
			key := running[c.Issuer].Key().Private.Public().(*rsa.PublicKey)

			contenders := []struct {
				name string
				run  func()
			}{
				{"decision", func() {
					if answer := reviewer.Review(b.Context(), token, nil, nil); answer.User == nil {
						b.Fatal(answer.Refusal)
					}
				}},
				{"signature", func() {
					digest := sha256.Sum256([]byte(input))
					if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature); err != nil {
						b.Fatal(err)
					}
				}},
				{"upstream", func() {
					if _, ok, err := theirs.AuthenticateToken(b.Context(), token); !ok || err != nil {
						b.Fatal(ok, err)
					}
				}},
			}
			times := make([][]float64, len(contenders))
			runtime.GC() // of what making them has left
			for b.Loop() {
				for i, contender := range contenders {
					const decisions = 100
					began := time.Now()
					for range decisions {
						contender.run()
					}
					times[i] = append(times[i], float64(time.Since(began))/decisions)
				}
			}
			median := make([]float64, len(contenders))
			for i, contender := range contenders {
				slices.Sort(times[i])
				median[i] = times[i][len(times[i])/2]
				b.ReportMetric(median[i], "ns/"+contender.name)
				b.ReportMetric(testing.AllocsPerRun(100, contender.run), "allocs/"+contender.name)
			}
			b.ReportMetric(median[0]/median[1], "signatures/decision")
			b.ReportMetric(median[2]/median[0], "decisions/upstream")
			b.ReportMetric(0, "ns/op") // of all together
		})
	}
}

func acceptanceCase(b *testing.B, name string) acceptance.Case {
	b.Helper()
	cases, err := acceptance.Cases()
	if err != nil {
		b.Fatal(err)
	}
	i := slices.IndexFunc(cases, func(c acceptance.Case) bool { return c.Name == name })
	if i < 0 {
		b.Fatalf("there is no case %q", name)
	}
	return cases[i]
}
