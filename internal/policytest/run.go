package policytest

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"tokenreview.dev/webhook/internal/whoami"
	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/config"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/tokenreview"
	"tokenreview.dev/webhook/pkg/trace"
)

// Result is how one case came out.
type Result struct {
	Test, Case string
	// Expected and Got are the same where the case has passed.
	Expected, Got v1alpha1.PolicyTestExpectation
	// Steps are those of the decision. What the key of the tests decides in the place
	// of the issuer's is NotTested in them.
	Steps []trace.Step
}

// NotTested is the outcome of a check that no test can be about.
const NotTested trace.Outcome = "not tested"

// Name is "TEST: CASE", printable.
func (r *Result) Name() string { return whoami.Printable(r.Test + ": " + r.Case) }

// Passed reports whether the decision is the expected one.
func (r *Result) Passed() bool {
	return equality.Semantic.DeepEqual(r.Expected, r.Got)
}

// RunFile loads the tests of a file and runs them, see Load and Run.
func RunFile(ctx context.Context, file string, read func(path string) ([]byte, error), now time.Time, selected *regexp.Regexp) FileResult {
	result := FileResult{File: file}
	tests, err := Load(file, read)
	for i := 0; err == nil && i < len(tests); i++ {
		var of []Result
		of, err = tests[i].Run(ctx, now, selected)
		result.Results = append(result.Results, of...)
	}
	result.Err = err
	return result
}

// Run decides about the test's cases as of now; selected, which may be nil, picks
// cases by what Result.Name is. An error means that a decision could not be had, which is
// not the policy's doing.
func (t *Test) Run(ctx context.Context, now time.Time, selected *regexp.Regexp) ([]Result, error) {
	keys, err := newThrowawayKeys(t.Config.Issuers)
	if err != nil {
		return nil, err
	}
	trusting := keys.trustedBy(t.Config)
	now = now.Truncate(time.Second) // NumericDates are whole seconds here.
	var results []Result
	for i := range t.Spec.Cases {
		c := &t.Spec.Cases[i]
		result := Result{Test: t.Name, Case: c.Name}
		if selected != nil && !selected.MatchString(result.Name()) {
			continue
		}
		token, err := keys[t.issuer(c).JWT.Issuer.URL].sign(t.Claims(c, now))
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", t.Name, c.Name, err)
		}
		steps := &trace.Trace{}
		answer, err := review(ctx, trusting, c, token, now, steps)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", t.Name, c.Name, err)
		}
		result.Expected, result.Got = compare(c.Expect, answer)
		result.Steps = tested(steps.Steps())
		results = append(results, result)
	}
	return results, nil
}

// tested returns steps that do not say of the issuer's algorithms and keys what is
// true of the tests' alone. That a signature is none of the issuer's is true of both.
func tested(steps []trace.Step) []trace.Step {
	for i := range steps {
		if step := &steps[i]; step.Outcome == trace.Passed && (step.Check == "alg" || step.Check == "signature") {
			step.Outcome, step.Detail = NotTested, ""
		}
	}
	return steps
}

// review has a token reviewed as the server does, with the case's answers in the
// place of others'. Nothing is remembered from case to case.
func review(ctx context.Context, trusting *config.Config, c *v1alpha1.PolicyTestCase, token string, now time.Time, t *trace.Trace) (*tokenreview.Answer, error) {
	clock := issuers.Options{Now: func() time.Time { return now }}
	rules, err := trusting.Build(nil, answers{c}.options(clock))
	if err != nil {
		return nil, err
	}
	defer rules.Issuers.Close(nil)
	rules.Issuers.AwaitFirstFetch(ctx)
	answer := tokenreview.NewReviewer(rules).Review(ctx, token, c.Audiences, t)
	return &answer, ctx.Err()
}

// compare puts an answer into the words of an expectation, without what the
// expectation leaves open.
func compare(expected v1alpha1.PolicyTestExpectation, answer *tokenreview.Answer) (want, got v1alpha1.PolicyTestExpectation) {
	got.WouldRefuse = string(answer.WouldRefuse.Code)
	if answer.User != nil {
		status := answer.Status()
		got.User = &status.User
		if expected.Audiences != nil {
			got.Audiences = status.Audiences
		}
		return expected, got
	}
	got.Reason, got.Text = string(answer.Refusal.Code), answer.Refusal.Text
	// What was meant to be a part of the text is taken for the whole.
	if got.Reason == expected.Reason && strings.Contains(got.Text, expected.Text) {
		expected.Text = got.Text
	}
	return expected, got
}
