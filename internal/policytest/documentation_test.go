package policytest_test

import (
	"errors"
	"os"
	"regexp"
	"testing"

	"tokenreview.dev/webhook/internal/policytest"
)

// What is written for people to copy works with the configuration that it is about.
func TestTheDocumentedTestsPass(t *testing.T) {
	const configuration = `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: https://token.actions.githubusercontent.com, audiences: [cluster]}
  claimMappings: {username: {claim: sub, prefix: "github:"}}
---
apiVersion: tokenreview.dev/v1alpha1
kind: IssuerPolicy
metadata: {name: github}
spec:
  issuer: https://token.actions.githubusercontent.com
  githubActions: {allow: [{repository: org/app, ownerID: "42", refs: [refs/heads/main], events: [push], groups: [deployers]}]}
`
	for _, page := range []string{"README.md", "docs/policy-tests.md"} {
		t.Run(page, func(t *testing.T) {
			text, err := os.ReadFile("../../" + page)
			if err != nil {
				t.Fatal(err)
			}
			files := map[string][]byte{"webhook.yaml": []byte(configuration)}
			for _, block := range regexp.MustCompile("(?s)```yaml\n(# (webhook\\S*\\.yaml)\n.*?)```").FindAllSubmatch(text, -1) {
				files[string(block[2])] = block[1]
			}
			result := policytest.RunFile(t.Context(), "webhook.test.yaml", func(path string) ([]byte, error) {
				if files[path] == nil {
					return nil, errors.New("not a file of the page: " + path)
				}
				return files[path], nil
			}, now, nil)
			if !result.Passed() {
				t.Errorf("%v, %+v", result.Err, result.Results)
			}
		})
	}
}
