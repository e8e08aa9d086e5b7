package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authenticationv1beta1 "k8s.io/api/authentication/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tokenreview.dev/webhook/internal/acceptance"
	"tokenreview.dev/webhook/pkg/reason"
)

// apiVersions are those that kube-apiserver can speak to a webhook. Their
// TokenReviews have the same form.
var apiVersions = [...]string{
	authenticationv1.SchemeGroupVersion.String(),
	authenticationv1beta1.SchemeGroupVersion.String(),
}

// reviewer asks the webhook as the API server does: with its client certificate.
type reviewer struct {
	url    string
	client *http.Client
}

func newReviewer(opts options, url string) (*reviewer, error) {
	ca, err := os.ReadFile(opts.certificate("ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s has no certificate", opts.certificate("ca.crt"))
	}
	pair, err := tls.LoadX509KeyPair(opts.certificate("apiserver.crt"), opts.certificate("apiserver.key"))
	if err != nil {
		return nil, err
	}
	return &reviewer{url: url, client: &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			ForceAttemptHTTP2: true,
			TLSClientConfig:   &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}},
		},
	}}, nil
}

// request is the TokenReview that asks about a token.
func request(apiVersion, token string) ([]byte, error) {
	return json.Marshal(authenticationv1.TokenReview{
		TypeMeta: metav1.TypeMeta{APIVersion: apiVersion, Kind: "TokenReview"},
		Spec:     authenticationv1.TokenReviewSpec{Token: token},
	})
}

// review returns the status that the webhook gives a token. Whatever is not the
// answer to a review, whichever way it comes out, is an error.
func (r *reviewer) review(ctx context.Context, apiVersion, token string) (authenticationv1.TokenReviewStatus, error) {
	var answer authenticationv1.TokenReview
	body, err := request(apiVersion, token)
	if err != nil {
		return answer.Status, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(body))
	if err != nil {
		return answer.Status, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return answer.Status, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	switch {
	case err != nil:
		return answer.Status, err
	case resp.StatusCode != http.StatusOK:
		return answer.Status, fmt.Errorf("the webhook answers %s: %s", resp.Status, body)
	case bytes.Contains(body, []byte(token)):
		return answer.Status, fmt.Errorf("the webhook's answer contains the token")
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return answer.Status, fmt.Errorf("decode answer: %w", err)
	}
	if answer.APIVersion != apiVersion || answer.Kind != "TokenReview" {
		return answer.Status, fmt.Errorf("expected a TokenReview of %s, got a %q of %q", apiVersion, answer.Kind, answer.APIVersion)
	}
	return answer.Status, nil
}

// compare says what is wrong with an answer, if anything is.
func compare(expected acceptance.Token, answer authenticationv1.TokenReviewStatus) error {
	if !expected.Accepted() {
		return compareRefusal(expected.Refusal, answer)
	}
	if !answer.Authenticated {
		return fmt.Errorf("expected user %q", expected.User.Name)
	}
	same := answer.Error == "" &&
		answer.User.Username == expected.User.Name &&
		answer.User.UID == expected.User.UID &&
		slices.Equal(answer.User.Groups, expected.User.Groups) &&
		maps.EqualFunc(answer.User.Extra, expected.User.Extra,
			func(a authenticationv1.ExtraValue, b []string) bool { return slices.Equal(a, b) })
	if !same {
		return fmt.Errorf("expected user %q, uid %q, groups %q, extra %q and no error, got error %q",
			expected.User.Name, expected.User.UID, expected.User.Groups, expected.User.Extra, answer.Error)
	}
	return nil
}

func compareRefusal(expected reason.Refusal, answer authenticationv1.TokenReviewStatus) error {
	if answer.Authenticated || answer.User.Username != "" {
		return fmt.Errorf("expected a refusal, %s", expected.Code)
	}
	if expected.Code == reason.IssuerUnknown {
		// Only a refusal without an error is cached by the API server.
		if answer.Error != "" {
			return fmt.Errorf("expected no error, as for every token of an issuer that is not configured")
		}
		return nil
	}
	if !strings.HasSuffix(answer.Error, fmt.Sprintf("(%s)", expected.Code)) || !strings.Contains(answer.Error, expected.Text) {
		return fmt.Errorf("expected %s, and the text %q", expected.Code, expected.Text)
	}
	return nil
}
