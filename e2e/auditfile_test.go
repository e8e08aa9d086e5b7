package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tokenreview.dev/webhook/e2e/cluster"
	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/audit"
)

// auditTo is a configuration that trusts an issuer and writes decisions to a file.
func auditTo(t *testing.T, issuer *issuertest.Issuer, path string) string {
	t.Helper()
	return cluster.Documents(t, authentication(trust(issuer, "e2e:")), object{
		"apiVersion": "tokenreview.dev/v1alpha1",
		"kind":       "WebhookConfiguration",
		"spec":       object{"audit": object{"path": path}},
	})
}

// Each answer's request id is in the files exactly once, whoever sets them aside, and
// while one process takes over from another.
func TestNoDecisionIsMissingFromAFileThatIsRotatedFromOutside(t *testing.T) {
	t.Parallel()
	issuer, dir := startIssuer(t), t.TempDir()
	path := filepath.Join(dir, "audit.log")
	webhook := cluster.InstallWebhook(t, webhookBinary, auditTo(t, issuer, path))
	running := webhook.Start(t)

	answered := &requestIDs{all: map[string]bool{}}
	var unanswered atomic.Int64
	var asking sync.WaitGroup
	stop := make(chan struct{})
	end := sync.OnceFunc(func() {
		close(stop)
		asking.Wait()
	})
	defer end()
	for caller := range 4 {
		asks := webhook.Caller(t, cluster.APIServerPair)
		asking.Go(func() {
			for n := int64(0); ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				answer, err := asks.Try(t.Context(), "/authenticate", issuer.Sign(claims(fmt.Sprint("caller-", caller), n)))
				if errors.Is(err, syscall.ECONNRESET) {
					// A process that ends resets connections that it has not accepted yet.
					unanswered.Add(1)
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				answered.add(answer.RequestID)
				asks.HangUp()
			}
		})
	}
	moreAnswers := func() {
		t.Helper()
		before := answered.count()
		cluster.Eventually(t, "there are more answers", time.Minute, func() error {
			if got := answered.count() - before; got < 100 {
				return fmt.Errorf("only %d", got)
			}
			return nil
		})
	}
	setAside := func(name string) {
		t.Helper()
		if err := os.Rename(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	isThere := func() error {
		_, err := os.Stat(path)
		return err
	}
	moreAnswers()
	setAside("audit.log.1")
	moreAnswers()
	cluster.Eventually(t, "the file is made anew after a rename alone", time.Minute, isThere)
	setAside("audit.log.2")
	running.Signal(t, syscall.SIGHUP)
	moreAnswers()
	cluster.Eventually(t, "the file is made anew after a rename and SIGHUP", time.Minute, isThere)

	next := webhook.Start(t)
	moreAnswers()
	setAside("audit.log.3")
	moreAnswers()
	if err := running.Stop(time.Minute); err != nil {
		t.Error(err)
	}
	moreAnswers()
	end()
	if err := next.Stop(time.Minute); err != nil {
		t.Error(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "a*"))
	if err != nil || len(files) != 4 {
		t.Errorf("expected four files, got %q, %v", files, err)
	}
	seen := map[string]int{}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s: expected nobody else to read it, got %s", file, info.Mode())
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			record := fromJSON[struct{ Schema, RequestID string }](t, line)
			if record.Schema != audit.Schema || !strings.HasSuffix(line, "}\n") {
				t.Errorf("not a whole line: %q", line)
			}
			seen[record.RequestID]++
		}
	}
	t.Logf("%d decisions", answered.count())
	for id := range answered.all {
		if seen[id] != 1 {
			t.Errorf("the decision %s is in the files %d times", id, seen[id])
		}
	}
	if most := answered.count() + int(unanswered.Load()); len(seen) > most {
		t.Errorf("the files have %d decisions, and only %d were asked for", len(seen), most)
	}
}

// requestIDs are those of the answers so far.
type requestIDs struct {
	mu  sync.Mutex
	all map[string]bool
}

func (r *requestIDs) add(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[id] = true
}

func (r *requestIDs) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.all)
}

// Nobody is kept out because something cannot be written down.
func TestLoginsGoOnWhileTheAuditLogCannotBeWritten(t *testing.T) {
	t.Parallel()
	issuer, dir := startIssuer(t), t.TempDir()
	// Where the folder should be is a file, which not even root can write a file into.
	notAFolder := filepath.Join(dir, "logs")
	if err := os.WriteFile(notAFolder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(notAFolder, "audit.log")
	webhook := cluster.InstallWebhook(t, webhookBinary, auditTo(t, issuer, path))
	// Not every check passes, and yet it is ready.
	running := webhook.Launch(t, cluster.Launch{Until: func(p *cluster.WebhookProcess) error {
		code, checks, err := p.Health(t.Context(), "/readyz?verbose")
		if err != nil {
			return err
		}
		if code != http.StatusOK || strings.Count(checks, "[-]") != 1 {
			return fmt.Errorf("/readyz answers %d:\n%s", code, checks)
		}
		return nil
	}})
	server := cluster.Start(t, binaries, cluster.Options{WebhookKubeconfig: webhook.Kubeconfig, WebhookVersion: "v1"})
	serial := int64(0)
	logIn := func() {
		t.Helper()
		serial++
		username, accepted, err := server.WhoAmI(t.Context(), issuer.Sign(claims("alice", serial)))
		if want := fmt.Sprintf("e2e:alice-%d", serial); username != want || !accepted || err != nil {
			t.Errorf("expected %s, got %q, %t, %v", want, username, accepted, err)
		}
	}
	metric := func(result string, want int64) error {
		_, metrics, err := running.Health(t.Context(), "/metrics")
		if err != nil {
			return err
		}
		if line := fmt.Sprintf("\ntokenreview_audit_records_total{result=%q} %d\n", result, want); !strings.Contains(metrics, line) {
			return fmt.Errorf("/metrics has no %s", strings.TrimSpace(line))
		}
		return nil
	}

	logIn()
	logIn()
	cluster.Eventually(t, "what is lost is counted", time.Minute, func() error {
		return errors.Join(metric("dropped", 2), metric("written", 0))
	})
	code, checks, err := running.Health(t.Context(), "/readyz?verbose")
	if err != nil || code != 200 || !strings.Contains(checks, "[-]audit ") || !strings.Contains(checks, "not a directory") {
		t.Errorf("expected a process that is ready and says what is wrong with the audit log, got %d, %v:\n%s", code, err, checks)
	}

	if err := os.Remove(notAFolder); err != nil {
		t.Fatal(err)
	}
	logIn()
	cluster.Eventually(t, "it is written again, without a restart", time.Minute, func() error { return metric("written", 1) })
	if checks := running.Readyz(t); strings.Contains(checks, "[-]") {
		t.Errorf("/readyz answers\n%s", checks)
	}
	data, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(data), `"username":"e2e:alice-3"`) {
		t.Errorf("expected the last decision in the file, got %s, %v", data, err)
	}
}

// What does not fit any more tears no line, and the first that fits again is whole.
func TestAFullDiskTearsNoLine(t *testing.T) {
	t.Parallel()
	issuer, dir := startIssuer(t), t.TempDir()
	path := filepath.Join(dir, "audit.log")
	webhook := cluster.InstallWebhook(t, webhookBinary, auditTo(t, issuer, path))
	// No file of the process may have more than 32 KiB.
	running := webhook.Launch(t, cluster.Launch{Mounts: "ulimit -f 64"})
	asks := webhook.Caller(t, cluster.APIServerPair)
	for n := int64(0); !strings.Contains(running.Readyz(t), "[-]audit "); n++ {
		if n == 1000 {
			t.Fatal("a thousand decisions fit")
		}
		asks.Ask(t, "/authenticate", issuer.Sign(claims("alice", n)))
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	last := asks.Ask(t, "/authenticate", issuer.Sign(claims("bob", 1)))
	cluster.Eventually(t, "the next decision is written", time.Minute, func() error {
		written, err := os.ReadFile(path) // which is made with the first line
		return errors.Join(err, has(string(written), last.RequestID))
	})
	lines := 0
	for _, name := range []string{path + ".1", path} {
		for line := range strings.Lines(readFile(t, name)) {
			fromJSON[object](t, line)
			lines++
		}
	}
	_, metrics, err := running.Health(t.Context(), "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	if err := has(metrics, fmt.Sprintf("\ntokenreview_audit_records_total{result=\"written\"} %d\n", lines)); err != nil {
		t.Error(err)
	}
}
