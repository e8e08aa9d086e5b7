package policy_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/policy"
	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/trace"
)

// The tests of the IssuerPolicy's own checks map sub and groups, nothing else.

// plainly maps the username and groups from the claims given.
func plainly(username, groups string) apiserver.JWTAuthenticator {
	return apiserver.JWTAuthenticator{
		Issuer: apiserver.Issuer{URL: "https://issuer.example", Audiences: []string{"a"}},
		ClaimMappings: apiserver.ClaimMappings{
			Username: apiserver.PrefixedClaimOrExpression{Claim: username, Prefix: text("u:")},
			Groups:   apiserver.PrefixedClaimOrExpression{Claim: groups, Prefix: text("")},
		},
	}
}

// compiled is a policy whose expressions are compiled.
func compiled(t *testing.T, config policy.Config) *policy.Policy {
	t.Helper()
	if config.Authenticator.Issuer.URL == "" {
		config.Authenticator = plainly("sub", "groups")
	}
	expressions, errs := validation.CompileAndValidateJWTAuthenticator(authenticationcel.NewDefaultCompiler(), config.Authenticator, nil)
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	config.Expressions = expressions
	return policy.New(config)
}

// outcome is what came of one token.
type outcome struct {
	policy.Decision
	err   error
	steps []trace.Step
}

func decide(t *testing.T, p *policy.Policy, payload string) outcome {
	t.Helper()
	steps := &trace.Trace{}
	request := policy.Request{Claims: newClaims(t, payload), Token: "the.token.itself"}
	decision, err := p.Decide(t.Context(), request, steps)
	untraced, untracedErr := p.Decide(t.Context(), request, nil)
	if untraced.Refusal != decision.Refusal || untraced.WouldRefuse != decision.WouldRefuse || (untracedErr == nil) != (err == nil) {
		t.Errorf("expected the same without a trace, got %+v and %+v", decision, untraced)
	}
	if untraced.Asked != decision.Asked {
		t.Errorf("expected the same to be asked without a trace, got %v and %v", decision.Asked, untraced.Asked)
	}
	if decision.User != nil && (err != nil || !decision.Refusal.IsZero()) {
		t.Errorf("expected a user or a reason why not, got %+v and %v", decision, err)
	}
	return outcome{decision, err, steps.Steps()}
}

// code is the code of the refusal or of what was missing, empty if there is a user.
func (o outcome) code() reason.Code {
	var unavailable *reason.Unavailable
	if errors.As(o.err, &unavailable) {
		return unavailable.Code
	}
	return o.Refusal.Code
}

// text is the text of the refusal or of what was missing.
func (o outcome) text() string {
	if o.err != nil {
		return o.err.Error()
	}
	return o.Refusal.Text
}

// step returns a step by the name of its check.
func (o outcome) step(name string) trace.Step {
	for _, step := range o.steps {
		if step.Check == name {
			return step
		}
	}
	return trace.Step{}
}

// expect wants the code, empty for a user, and the fragment in the text.
func (o outcome) expect(t *testing.T, code reason.Code, fragment string) {
	t.Helper()
	if o.code() != code || !strings.Contains(o.text(), fragment) {
		t.Errorf("expected %q with %q, got %q: %s", code, fragment, o.code(), o.text())
	}
	if (code == "") != (o.User != nil) {
		t.Errorf("expected a user where there is no code, got %+v", o.Decision)
	}
}

// groups answers in the place of Microsoft Graph.
type groups struct {
	list    []string
	unknown bool
	err     error
	// asked is what it was asked about.
	asked []string
}

func (g *groups) Groups(_ context.Context, objectID string, servicePrincipal bool) ([]string, bool, error) {
	kind := "user "
	if servicePrincipal {
		kind = "service principal "
	}
	g.asked = append(g.asked, kind+objectID)
	return g.list, !g.unknown, g.err
}

// awayError is an error of a cluster that is away for all tokens.
type awayError struct{ error }

func (awayError) Away() bool { return true }

// cluster answers in the place of the cluster that issued a token.
type cluster struct {
	problem string
	err     error
	asked   []string
}

func (c *cluster) Check(_ context.Context, token string, audiences []string, subject string) (string, error) {
	c.asked = append(c.asked, token+" "+strings.Join(audiences, ",")+" "+subject)
	return c.problem, c.err
}

func audited(spec v1alpha1.IssuerPolicySpec) v1alpha1.IssuerPolicySpec {
	spec.Enforcement = v1alpha1.EnforcementAudit
	return spec
}
