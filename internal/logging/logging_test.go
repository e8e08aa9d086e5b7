package logging_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/klog/v2"

	"tokenreview.dev/webhook/internal/logging"
)

func TestJSON(t *testing.T) {
	var out bytes.Buffer
	log, err := logging.New(&out, "json", "info")
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("quiet")
	log.Info("hello", "issuer", "main")
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("expected one JSON line, got %q: %v", out.String(), err)
	}
	if line["msg"] != "hello" || line["issuer"] != "main" || line["level"] != "INFO" {
		t.Errorf("got %v", line)
	}
}

func TestKubernetesLibrariesLogToIt(t *testing.T) {
	var out bytes.Buffer
	if _, err := logging.New(&out, "text", "warn"); err != nil {
		t.Fatal(err)
	}
	klog.InfoS("quiet")
	klog.ErrorS(nil, "loud", "file", "ca.crt")
	klog.Flush()
	if got := out.String(); strings.Contains(got, "quiet") || !strings.Contains(got, "level=ERROR") || !strings.Contains(got, "msg=loud component=kubernetes file=ca.crt") {
		t.Errorf("got %q", got)
	}
}

func TestWhatIsNotKnownIsAnErrorThatNamesTheFlag(t *testing.T) {
	for flag, test := range map[string][2]string{"--log-format": {"xml", "info"}, "--log-level": {"text", "loud"}} {
		if _, err := logging.New(&bytes.Buffer{}, test[0], test[1]); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("expected an error that names %s, got %v", flag, err)
		}
	}
}

func TestALimitedLoggerSaysWhatItLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := logging.Limited(slog.New(slog.NewTextHandler(&out, nil)), 1).With("component", "test")
		for range 15 {
			log.Warn("again")
		}
		if lines := strings.Count(out.String(), "\n"); lines != 10 {
			t.Errorf("expected the burst of ten lines, got %d", lines)
		}
		time.Sleep(time.Second) // of the bubble's clock
		log.Warn("again")
		if !strings.Contains(out.String(), "component=test suppressed=5") {
			t.Errorf("expected the next line to say that five were left out, got\n%s", out.String())
		}
		out.Reset()
		time.Sleep(time.Second)
		log.Warn("again")
		if strings.Contains(out.String(), "suppressed") {
			t.Errorf("expected nothing to be left out any more, got\n%s", out.String())
		}
	})
}
