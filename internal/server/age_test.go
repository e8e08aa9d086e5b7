package server

import (
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"tokenreview.dev/webhook/internal/certs"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

func TestConnectionsEndWithinATenthOfTheirAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where the clock stands still
		ages := make(map[time.Duration]bool)
		for range 100 {
			end := maxAge(time.Hour).connContext(t.Context(), nil).Value(endKey{}).(time.Time)
			age := time.Until(end)
			if age < 54*time.Minute || age > 66*time.Minute {
				t.Errorf("expected an hour give or take six minutes, got %s", age)
			}
			ages[age] = true
		}
		if len(ages) < 2 {
			t.Error("expected connections not to end all at once")
		}
	})
}

func TestAListenerThatFailsEndsTheServerWithAnErrorAtOnce(t *testing.T) {
	dir := t.TempDir()
	if _, err := certs.Init(certs.DefaultOptions(dir)); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	reviewer := tokenreview.NewReviewer(&tokenreview.Rules{Issuers: &issuers.Set{}})
	s, err := New(t.Context(), Options{
		BindAddress: "127.0.0.1", HealthBindAddress: "127.0.0.1:0",
		CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key"), ClientCAFile: filepath.Join(dir, "ca.crt"),
		ShutdownDelay: time.Hour, GracePeriod: time.Second,
	}, tokenreview.NewHandler(reviewer, tokenreview.Options{Log: log}), NewHealth(reviewer, nil, NewMetrics("v1.2.3", "abc")), log)
	if err != nil {
		t.Fatal(err)
	}
	_ = s.door.listener.Close()
	if err := s.Run(t.Context()); err == nil {
		t.Error("expected an error")
	}
}
