package main

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
)

// buildCluster is the API server of another cluster, which is asked about tokens.
type buildCluster struct {
	*httptest.Server
	// notLive is a token that it does not honour, failing one about which it fails. They
	// are set before anybody asks.
	notLive, failing string
}

func startBuildCluster(t *testing.T) *buildCluster {
	t.Helper()
	b := &buildCluster{}
	b.Server = httptest.NewTLSServer(b)
	t.Cleanup(b.Close)
	return b
}

func (b *buildCluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var review authenticationv1.TokenReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Spec.Token != b.notLive {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	review.Status = authenticationv1.TokenReviewStatus{Error: "the pod is gone"}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(&review)
}

func (b *buildCluster) kubeconfig() string {
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.Certificate().Raw})
	file, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "here",
		"clusters": []any{map[string]any{"name": "build", "cluster": map[string]any{"server": b.URL, "certificate-authority-data": authority}}},
		"users":    []any{map[string]any{"name": "webhook", "user": map[string]any{"token": "credential"}}},
		"contexts": []any{map[string]any{"name": "here", "context": map[string]any{"cluster": "build", "user": "webhook"}}},
	})
	if err != nil {
		panic(err)
	}
	return string(file)
}
