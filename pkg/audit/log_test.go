package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/audit"
	"tokenreview.dev/webhook/pkg/reason"
)

// logged is a Log, and what it has told.
type logged struct {
	*audit.Log
	stdout bytes.Buffer // complete once closed
	errors bytes.Buffer

	mu      sync.Mutex
	results map[audit.Result]int
	now     time.Time
}

func start(t *testing.T, stdout io.Writer) *logged {
	t.Helper()
	l := &logged{results: map[audit.Result]int{}, now: time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)}
	if stdout == nil {
		stdout = &l.stdout
	}
	l.Log = audit.New(audit.Options{
		Stdout: stdout,
		Observe: func(result audit.Result, records int) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.results[result] += records
		},
		Log: slog.New(slog.NewTextHandler(&l.errors, nil)),
		Now: func() time.Time { return l.now },
	})
	t.Cleanup(func() { l.close(t) })
	return l
}

func (l *logged) close(t *testing.T) {
	t.Helper()
	if err := l.Close(t.Context()); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func (l *logged) use(t *testing.T, config audit.Config) {
	t.Helper()
	if err := l.Use(config); err != nil {
		t.Fatal(err)
	}
}

func (l *logged) result(of audit.Result) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.results[of]
}

func (l *logged) expect(t *testing.T, want map[audit.Result]int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if diff := cmp.Diff(want, l.results); diff != "" {
		t.Errorf("what became of the records (-want +got)\n%s", diff)
	}
}

func accepted(id string) *audit.Record {
	return &audit.Record{RequestID: id, Endpoint: "/authenticate", Issuer: "github", Proven: true, Reason: reason.Allowed, Username: "jane"}
}

func refused(id, issuer string) *audit.Record {
	return &audit.Record{RequestID: id, Endpoint: "/authenticate", Issuer: issuer, Proven: issuer != "", Reason: string(reason.Expired)}
}

// ids are the request ids of lines, each of which must be a whole one.
func ids(t *testing.T, lines []byte) []string {
	t.Helper()
	var found []string
	for line := range bytes.Lines(lines) {
		var record struct{ Schema, RequestID string }
		if err := json.Unmarshal(line, &record); err != nil || record.Schema != audit.Schema || !bytes.HasSuffix(line, []byte("}\n")) {
			t.Fatalf("not a line of the log: %q, %v", line, err)
		}
		found = append(found, record.RequestID)
	}
	return found
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// eventually waits until a condition holds that another goroutine brings about.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not come to be that %s", what)
		}
	}
}

func TestALineHasEverythingThatIsKnownAndNothingElse(t *testing.T) {
	at := time.Date(2026, 11, 25, 9, 30, 1, 5000, time.UTC)
	for _, test := range []struct {
		name   string
		record audit.Record
		want   string
	}{
		{"a token that is accepted", audit.Record{
			Time: at, RequestID: "ID", Endpoint: "/authenticate",
			Caller: audit.Caller{CommonName: "kube-apiserver", Organizations: []string{"a", "b"}, URIs: []string{"spiffe://example.com/x"}, Address: "127.0.0.1:1"},
			Issuer: "github", Proven: true, Reason: reason.Allowed, WouldRefuse: "LifetimeTooLong", WouldRefuseMessage: "too long",
			JTI: "j", Subject: "s", Claims: jsontext.Value(`{"repository":"o/r","run_id":"2"}`),
			Username: "jane", UID: "u", Groups: []string{"devs"}, Fingerprint: audit.Fingerprint{0xab, 15: 1}, Cached: true, Duration: .25, Omitted: 3,
		}, `{"schema":"tokenreview.dev/audit/v1","time":"2026-11-25T09:30:01.000005Z","requestID":"ID","endpoint":"/authenticate",` +
			`"caller":{"commonName":"kube-apiserver","organizations":["a","b"],"uris":["spiffe://example.com/x"],"address":"127.0.0.1:1"},` +
			`"issuer":"github","proven":true,"reason":"Allowed","wouldRefuse":"LifetimeTooLong","wouldRefuseMessage":"too long",` +
			`"jti":"j","sub":"s","claims":{"repository":"o/r","run_id":"2"},"username":"jane","uid":"u","groups":["devs"],` +
			`"fingerprint":"ab000000000000000000000000000001","cached":true,"duration":0.25,"omitted":3}` + "\n"},
		{"a token of nobody, sent by nobody known", audit.Record{
			Time: at, RequestID: "ID", Endpoint: "/tokenreview", Caller: audit.Caller{Address: "[::1]:2"}, Reason: "TokenMalformed", Message: "a line\nfeed",
		}, `{"schema":"tokenreview.dev/audit/v1","time":"2026-11-25T09:30:01.000005Z","requestID":"ID","endpoint":"/tokenreview",` +
			`"caller":{"address":"[::1]:2"},"proven":false,"reason":"TokenMalformed","message":"a line\nfeed",` +
			`"fingerprint":"00000000000000000000000000000000","cached":false,"duration":0}` + "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := start(t, nil)
			// As it is without bounds: Omitted is the log's to set.
			if test.record.Reason == reason.Allowed {
				l.use(t, audit.Config{MaxRefusalsPerSecond: 1})
			}
			l.Write(&test.record, v1alpha1.AuditAll)
			l.close(t)
			if diff := cmp.Diff(test.want, l.stdout.String()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			l.expect(t, map[audit.Result]int{audit.Written: 1})
		})
	}
}

func TestALevelSaysWhichDecisionsAreWritten(t *testing.T) {
	spared := accepted("spared")
	spared.WouldRefuse = "LifetimeTooLong"
	for level, want := range map[v1alpha1.AuditLevel]string{
		"":                     "accepted spared refused",
		v1alpha1.AuditAll:      "accepted spared refused",
		v1alpha1.AuditRefusals: "spared refused",
		v1alpha1.AuditNone:     "",
	} {
		t.Run(string(level), func(t *testing.T) {
			l := start(t, nil)
			for _, record := range []*audit.Record{accepted("accepted"), spared, refused("refused", "github")} {
				l.Write(record, level)
			}
			l.close(t)
			if got := strings.Join(ids(t, l.stdout.Bytes()), " "); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestRefusalsAreBoundedByIssuerAndWhatIsLeftOutIsSaid(t *testing.T) {
	l := start(t, nil)
	l.use(t, audit.Config{MaxRefusalsPerSecond: 2})
	for n := range 25 {
		l.Write(refused("main-"+strconv.Itoa(n), "main"), v1alpha1.AuditAll)
	}
	// Whoever sends these hides none of the others.
	unproven := refused("unproven", "main")
	unproven.Proven = false
	l.Write(unproven, v1alpha1.AuditAll)
	l.Write(refused("other", "other"), v1alpha1.AuditAll)
	for n := range 30 {
		l.Write(accepted("accepted-"+strconv.Itoa(n)), v1alpha1.AuditAll)
	}
	l.now = l.now.Add(time.Second)
	l.Write(refused("later", "main"), v1alpha1.AuditAll)
	l.Write(refused("later still", "main"), v1alpha1.AuditAll)
	l.close(t)
	if got := len(ids(t, l.stdout.Bytes())); got != 20+1+1+30+2 {
		t.Errorf("got %d lines", got)
	}
	if !strings.Contains(l.stdout.String(), `"requestID":"later",`) || strings.Count(l.stdout.String(), `"omitted":5`) != 1 || strings.Count(l.stdout.String(), `"omitted"`) != 1 {
		t.Errorf("expected the next refusal, and no other line, to say that five were left out:\n%s", l.stdout.String())
	}
	l.expect(t, map[audit.Result]int{audit.Written: 54, audit.Omitted: 5})
}

// hanging is a sink that takes nothing until it is let go.
type hanging struct {
	bytes.Buffer
	entered chan struct{}
	letGo   chan struct{}
}

func (h *hanging) Write(data []byte) (int, error) {
	select {
	case h.entered <- struct{}{}:
	default:
	}
	<-h.letGo
	return h.Buffer.Write(data)
}

func TestASinkThatHangsHoldsUpNobodyAndWhatDoesNotFitIsCounted(t *testing.T) {
	sink := &hanging{entered: make(chan struct{}, 1), letGo: make(chan struct{})}
	l := start(t, sink)
	l.Write(accepted("first"), v1alpha1.AuditAll)
	<-sink.entered
	long := accepted("long")
	long.Username = strings.Repeat("x", 510<<10)
	for range 11 { // of which eight fit into 4 MiB
		l.Write(long, v1alpha1.AuditAll)
	}
	if err := l.Problem(); err == nil || !strings.Contains(err.Error(), "hangs") || !strings.Contains(l.errors.String(), "decisions not written") {
		t.Errorf("nobody is told: %v\n%s", err, l.errors.String())
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Close(ended); err == nil || !strings.Contains(err.Error(), "at least 8 decisions were not written") {
		t.Errorf("got %v", err)
	}
	l.Write(accepted("after the end"), v1alpha1.AuditAll)
	close(sink.letGo)
	l.close(t)
	if got := len(ids(t, sink.Bytes())); got != 9 {
		t.Errorf("got %d lines", got)
	}
	l.expect(t, map[audit.Result]int{audit.Written: 9, audit.Dropped: 4})
}

// failing is a sink that fails after some bytes.
type failing struct {
	bytes.Buffer
	room int
}

func (f *failing) Write(data []byte) (int, error) {
	n, _ := f.Buffer.Write(data[:min(len(data), f.room)])
	f.room -= n
	if n < len(data) {
		return n, errors.New("no space left")
	}
	return n, nil
}

func TestWhatCannotBeWrittenIsCountedAndToldUntilItCan(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	path := filepath.Join(dir, "audit.log")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // where a directory should be
		t.Fatal(err)
	}
	l := start(t, nil)
	l.use(t, audit.Config{Path: path, MaxSizeMB: 1})
	l.Write(accepted("lost"), v1alpha1.AuditAll)
	eventually(t, "the line is lost", func() bool { return l.result(audit.Dropped) == 1 })
	eventually(t, "there is a problem", func() bool { return l.Problem() != nil })
	if text := l.Problem().Error(); !strings.Contains(text, "write audit log") || !strings.Contains(text, dir) {
		t.Errorf("got %s", text)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	l.Write(accepted("kept"), v1alpha1.AuditAll)
	eventually(t, "there is no problem", func() bool { return l.Problem() == nil })
	l.close(t)
	if got := ids(t, read(t, path)); len(got) != 1 || got[0] != "kept" {
		t.Errorf("got %v", got)
	}
	l.expect(t, map[audit.Result]int{audit.Written: 1, audit.Dropped: 1})
	if !strings.Contains(l.errors.String(), "decisions not written") {
		t.Errorf("nobody is told: %s", &l.errors)
	}

	full := start(t, &failing{room: 10})
	full.Write(accepted("torn"), v1alpha1.AuditAll)
	full.close(t)
	full.expect(t, map[audit.Result]int{audit.Dropped: 1})
}

func TestAnotherConfigurationTakesTheLinesElsewhere(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first.log"), filepath.Join(dir, "second.log")
	l := start(t, nil)
	size := func(path string) func() bool {
		return func() bool {
			info, err := os.Stat(path)
			return err == nil && info.Size() > 0
		}
	}
	l.use(t, audit.Config{Path: first, MaxSizeMB: 1})
	l.Write(accepted("1"), v1alpha1.AuditAll)
	eventually(t, "the first file is written", size(first))
	l.use(t, audit.Config{Path: second, MaxSizeMB: 1})
	l.Write(accepted("2"), v1alpha1.AuditAll)
	eventually(t, "the second file is written", size(second))
	l.use(t, audit.Config{Path: "-"})
	l.Write(accepted("3"), v1alpha1.AuditAll)
	l.close(t)
	for _, test := range []struct {
		lines []byte
		want  string
	}{{read(t, first), "1"}, {read(t, second), "2"}, {l.stdout.Bytes(), "3"}} {
		if got := strings.Join(ids(t, test.lines), " "); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestAPieceOfALineIsNotGoneOnAfter(t *testing.T) {
	sink := &failing{room: 10}
	l := start(t, sink)
	l.Write(accepted("torn"), v1alpha1.AuditAll)
	eventually(t, "the line is lost", func() bool { return l.result(audit.Dropped) == 1 })
	sink.room = 1 << 20 // The writer is at rest.
	l.Write(accepted("whole"), v1alpha1.AuditAll)
	l.close(t)
	_, rest, _ := strings.Cut(sink.String(), "\n")
	if got := ids(t, []byte(rest)); len(got) != 1 || got[0] != "whole" {
		t.Errorf("got %q", sink.String())
	}
}

func TestALineThatIsTooLongIsLostAlone(t *testing.T) {
	l := start(t, nil)
	long := accepted("long")
	long.Message = strings.Repeat("m", 600<<10)
	for _, record := range []*audit.Record{accepted("before"), long, accepted("after")} {
		l.Write(record, v1alpha1.AuditAll)
	}
	l.close(t)
	if got := strings.Join(ids(t, l.stdout.Bytes()), " "); got != "before after" {
		t.Errorf("got %q", got)
	}
	l.expect(t, map[audit.Result]int{audit.Written: 2, audit.Dropped: 1})
}

func TestAFileThatCannotBeWrittenIsToldOfBeforeThereIsALine(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"a directory": dir, "a pipe that nobody reads": pipe, "a device": "/dev/null"} {
		t.Run(name, func(t *testing.T) {
			l := start(t, nil)
			l.use(t, audit.Config{Path: path, MaxSizeMB: 1})
			eventually(t, "there is a problem", func() bool { return l.Problem() != nil })
			// And another file can be named instead.
			path := filepath.Join(t.TempDir(), "audit.log")
			l.use(t, audit.Config{Path: path, MaxSizeMB: 1})
			l.Write(accepted("kept"), v1alpha1.AuditAll)
			l.close(t)
			if got := ids(t, read(t, path)); len(got) != 1 {
				t.Errorf("got %v", got)
			}
		})
	}
}

// counted is a sink that counts how often it is written to.
type counted struct {
	bytes.Buffer
	times int
}

func (c *counted) Write(data []byte) (int, error) {
	c.times++
	return c.Buffer.Write(data)
}

func TestLinesThatComeSoonAfterOneAnotherAreWrittenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &counted{}
		l := start(t, sink)
		l.Write(accepted("first"), v1alpha1.AuditAll)
		synctest.Wait()
		if sink.times != 1 {
			t.Errorf("expected the first line to be written at once, got %d writes", sink.times)
		}
		for n := range 100 {
			l.Write(accepted(strconv.Itoa(n)), v1alpha1.AuditAll)
		}
		time.Sleep(10 * time.Millisecond) // of the bubble's clock
		synctest.Wait()
		if got := len(ids(t, sink.Bytes())); got != 101 || sink.times != 2 {
			t.Errorf("expected 101 lines in two writes within milliseconds, got %d in %d", got, sink.times)
		}
		l.Write(accepted("next to last"), v1alpha1.AuditAll)
		synctest.Wait()
		l.Write(accepted("last"), v1alpha1.AuditAll)
		begun := time.Now()
		l.close(t)
		if waited := time.Since(begun); waited != 0 {
			t.Errorf("the end waits %s for nothing", waited)
		}
		if got := len(ids(t, sink.Bytes())); got != 103 {
			t.Errorf("got %d lines", got)
		}
	})
}
