package main

import (
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/authentication/user"

	"tokenreview.dev/webhook/internal/acceptance"
	"tokenreview.dev/webhook/pkg/reason"
)

// A demonstration that says "ok" to a wrong answer is worth nothing.
func TestCompare(t *testing.T) {
	ada := acceptance.Token{User: &user.DefaultInfo{
		Name: "ada", UID: "1", Groups: []string{"x", "y"}, Extra: map[string][]string{"example.com/k": {"v"}},
	}}
	adaAnswer := func(change func(*authenticationv1.TokenReviewStatus)) authenticationv1.TokenReviewStatus {
		status := authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{
			Username: "ada", UID: "1", Groups: []string{"x", "y"},
			Extra: map[string]authenticationv1.ExtraValue{"example.com/k": {"v"}},
		}}
		if change != nil {
			change(&status)
		}
		return status
	}
	refusal := func(code reason.Code, text string) acceptance.Token {
		return acceptance.Token{Refusal: reason.Refusal{Code: code, Text: text}}
	}
	tests := []struct {
		name     string
		expected acceptance.Token
		answer   authenticationv1.TokenReviewStatus
		ok       bool
	}{
		{"the expected user", ada, adaAnswer(nil), true},
		{"another name", ada, adaAnswer(func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "eve" }), false},
		{"another uid", ada, adaAnswer(func(s *authenticationv1.TokenReviewStatus) { s.User.UID = "2" }), false},
		{"a group too many", ada, adaAnswer(func(s *authenticationv1.TokenReviewStatus) { s.User.Groups = append(s.User.Groups, "z") }), false},
		{"another extra", ada, adaAnswer(func(s *authenticationv1.TokenReviewStatus) { s.User.Extra["example.com/k"][0] = "w" }), false},
		{"the expected user and an error", ada, adaAnswer(func(s *authenticationv1.TokenReviewStatus) { s.Error = "x" }), false},
		{"the expected user, unauthenticated", ada, adaAnswer(func(s *authenticationv1.TokenReviewStatus) { s.Authenticated = false }), false},
		{
			"the expected refusal", refusal(reason.Expired, "yesterday"),
			authenticationv1.TokenReviewStatus{Error: "github: since yesterday (Expired)"}, true,
		},
		{
			"another reason", refusal(reason.Expired, "yesterday"),
			authenticationv1.TokenReviewStatus{Error: "github: since yesterday (NotYetValid)"}, false,
		},
		{
			"another text", refusal(reason.Expired, "yesterday"),
			authenticationv1.TokenReviewStatus{Error: "github: since today (Expired)"}, false,
		},
		{"a user in place of a refusal", refusal(reason.Expired, ""), adaAnswer(nil), false},
		{
			"a refusal that names a user", refusal(reason.Expired, ""),
			authenticationv1.TokenReviewStatus{Error: "x (Expired)", User: authenticationv1.UserInfo{Username: "ada"}}, false,
		},
		{"not ours, without an error", refusal(reason.IssuerUnknown, ""), authenticationv1.TokenReviewStatus{}, true},
		{
			"not ours, but with an error", refusal(reason.IssuerUnknown, ""),
			authenticationv1.TokenReviewStatus{Error: "x (IssuerUnknown)"}, false,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := compare(test.expected, test.answer); (err == nil) != test.ok {
				t.Errorf("expected ok to be %t, got: %v", test.ok, err)
			}
		})
	}
}
