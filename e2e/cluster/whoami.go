package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// WhoAmI asks the API server who the bearer of a token is, as `kubectl auth
// whoami` does. accepted is false when the API server answers 401; any other
// answer than these two is an error.
func (s *APIServer) WhoAmI(ctx context.Context, token string) (username string, accepted bool, err error) {
	const review = `{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost,
		s.URL+"/apis/authentication.k8s.io/v1/selfsubjectreviews", strings.NewReader(review))
	if err != nil {
		return "", false, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := s.client.Do(req)
	if err != nil {
		return "", false, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	if err != nil {
		return "", false, err
	}
	switch resp.StatusCode {
	case http.StatusCreated:
	case http.StatusUnauthorized:
		return "", false, nil
	default:
		return "", false, fmt.Errorf("the API server answers %d: %s", resp.StatusCode, body)
	}
	var answer struct {
		Status struct{ UserInfo struct{ Username string } }
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", false, fmt.Errorf("read the API server's answer: %w", err)
	}
	return answer.Status.UserInfo.Username, true, nil
}
