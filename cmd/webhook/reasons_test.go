package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
	authenticationv1 "k8s.io/api/authentication/v1"

	"tokenreview.dev/webhook/internal/entratest"
	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/tokenreview"
	"tokenreview.dev/webhook/pkg/trace"
)

const (
	entraTenant  = "de5169f1-9a13-45fe-a4cf-07feee258b7f"
	entraClient  = "80faf920-1908-4b52-b5ef-a8e7bedfc67a"
	entraUser    = "0c6b2e4e-53c5-4f0a-9d5e-6a1f3f6f8f0b"
	entraDeleted = "11111111-1111-1111-1111-111111111111"
)

// Whoever meets a reason in one place finds it by the same word in all others. Here the
// real command serves a real configuration file over mutual TLS, and is asked about a
// token for each reason that there is.
func TestEachReasonIsTheSameWordEverywhere(t *testing.T) {
	microsoft := entratest.Start(entraTenant, entraClient)
	t.Cleanup(microsoft.Close)
	microsoft.SetSecrets("correct horse battery staple")
	microsoft.AnswerGraph(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, entraUser) {
			entratest.GraphError(http.StatusInternalServerError, "InternalServerError", "Try again.").ServeHTTP(w, r)
			return
		}
		microsoft.Genuine(w, r)
	}))
	proxy := httptest.NewServer(microsoft.Proxy())
	t.Cleanup(proxy.Close)
	away := issuertest.Start("")
	t.Cleanup(away.Close)
	away.Answer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	cluster := startBuildCluster(t)
	key := issuertest.NewKey("key", jwa.ES256)
	cases := reasonCases(key, away.URL, cluster)

	dir := t.TempDir()
	configuration, err := os.ReadFile(filepath.Join("testdata", "reasons", "webhook.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"secret":           "correct horse battery staple",
		"microsoft.pem":    microsoft.CertificateAuthority(),
		"build.kubeconfig": cluster.kubeconfig(),
		"webhook.yaml": os.Expand(string(configuration), func(name string) string {
			return map[string]string{
				"AWAY": away.URL, "AWAY_CA": strings.ReplaceAll(away.CertificateAuthority(), "\n", `\n`), "DIR": dir,
				"JWKS": string(issuertest.KeySet(key)), "TENANT": entraTenant, "CLIENT": entraClient,
			}[name]
		}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	everywhere := &everywhere{served: startServed(t, dir, "HTTPS_PROXY="+proxy.URL, "SSL_CERT_FILE="+filepath.Join(dir, "microsoft.pem"))}
	everywhere.apiServer, everywhere.auditor = everywhere.client(t, "apiserver"), everywhere.client(t, "auditor")

	missing := reason.Codes()
	wouldRefuse := 0
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { everywhere.check(t, &c) })
		missing = slices.DeleteFunc(missing, func(code reason.Code) bool { return code == c.code })
		if c.wouldRefuse != "" {
			wouldRefuse++
		}
	}
	if len(missing) > 0 || wouldRefuse == 0 {
		t.Errorf("expected a token for each reason, and one for what is recorded only; there is none for %q", missing)
	}
	for _, c := range cases {
		for _, secret := range secrets(c.token) {
			for _, name := range []string{"log", "audit.log"} {
				if strings.Contains(everywhere.read(t, name), secret) {
					t.Errorf("%s: a part of the token is in %s", c.name, name)
				}
			}
		}
	}
}

// everywhere is all places in which a reason stands.
type everywhere struct {
	*served
	apiServer, auditor *http.Client
}

func (e *everywhere) check(t *testing.T, c *reasonCase) {
	before := e.metrics(t)
	answer := e.ask(t, e.apiServer, "/authenticate", c.token)
	explained := e.ask(t, e.auditor, "/tokenreview?explain=true", c.token)
	after := e.metrics(t)

	e.checkStatus(t, c, answer.review.Status)
	e.checkStatus(t, c, explained.review.Status)
	if len(answer.review.Annotations) > 0 {
		t.Errorf("the API server is told %q", answer.review.Annotations)
	}
	e.checkAnnotations(t, c, explained)
	for path, got := range map[string]*answered{"/authenticate": answer, "/tokenreview": explained} {
		e.checkRecords(t, c, path, got.requestID)
	}
	e.checkMetrics(t, c, before, after)
	said := e.checkCommand(t, c)
	for _, secret := range secrets(c.token) {
		if strings.Contains(answer.raw+explained.raw+said, secret) {
			t.Error("a part of the token is in an answer, or in what the command says")
		}
	}
}

func (e *everywhere) checkStatus(t *testing.T, c *reasonCase, got authenticationv1.TokenReviewStatus) {
	t.Helper()
	if got.Authenticated != (c.code == "") {
		t.Errorf("expected authenticated: %t, got %+v", c.code == "", got)
	}
	// The API server caches an answer without an error: nothing could change soon about a
	// token that is none of ours.
	if c.code == "" || c.issuer == "" {
		if got.Error != "" {
			t.Errorf("expected no status.error, got %q", got.Error)
		}
	} else if !strings.HasPrefix(got.Error, c.issuer+": ") || !strings.HasSuffix(got.Error, " ("+string(c.code)+")") {
		t.Errorf(`expected a status.error "%s: text (%s)", got %q`, c.issuer, c.code, got.Error)
	}
}

func (e *everywhere) checkAnnotations(t *testing.T, c *reasonCase, got *answered) {
	t.Helper()
	annotations := got.review.Annotations
	for name, want := range map[string]string{
		tokenreview.AnnotationReason: c.reason(), tokenreview.AnnotationIssuer: c.issuer,
		tokenreview.AnnotationWouldRefuse: string(c.wouldRefuse), tokenreview.AnnotationRequestID: got.requestID,
	} {
		if value, ok := annotations[name]; value != want || ok == (want == "") {
			t.Errorf("expected the annotation %s: %q, got %q", name, want, value)
		}
	}
	message := annotations[tokenreview.AnnotationMessage]
	if (message == "") != (c.code == "") || c.code != "" && c.issuer != "" && got.review.Status.Error != c.issuer+": "+message+" ("+string(c.code)+")" {
		t.Errorf("the message is %q, and status.error %q", message, got.review.Status.Error)
	}
	var steps []trace.Step
	if err := json.Unmarshal([]byte(annotations[tokenreview.AnnotationTrace]), &steps); err != nil || len(steps) == 0 {
		t.Fatalf("the trace is %q: %v", annotations[tokenreview.AnnotationTrace], err)
	}
	for i, step := range steps {
		switch {
		case c.code != "" && i == len(steps)-1:
			if want := (trace.Step{Check: c.check, Outcome: trace.Failed, Detail: message}); step != want {
				t.Errorf("expected the last step to be %+v, got %+v", want, step)
			}
		case c.wouldRefuse != "" && step.Check == c.check:
			if step.Outcome != trace.WouldFail || !strings.HasSuffix(step.Detail, " ("+string(c.wouldRefuse)+")") {
				t.Errorf("expected a step that would fail by %s, got %+v", c.wouldRefuse, step)
			}
		case step.Outcome != trace.Passed:
			t.Errorf("expected every other step to pass, got %+v", step)
		}
	}
	var recent []tokenreview.Event
	if err := json.Unmarshal([]byte(annotations[tokenreview.AnnotationRecent]), &recent); err != nil || len(recent) != 1 ||
		recent[0].Endpoint != "/authenticate" || recent[0].Caller != "kube-apiserver" || recent[0].Reason != c.reason() {
		t.Errorf("expected the API server's question to be remembered, got %q: %v", annotations[tokenreview.AnnotationRecent], err)
	}
}

// checkRecords looks for a request in the audit log and in the log.
func (e *everywhere) checkRecords(t *testing.T, c *reasonCase, path, requestID string) {
	t.Helper()
	var record map[string]any
	eventually(t, "the audit log has request "+requestID+" once", func() bool {
		lines := linesWith(e.read(t, "audit.log"), requestID)
		return len(lines) == 1 && json.Unmarshal([]byte(lines[0]), &record) == nil
	})
	text := func(name string) string { value, _ := record[name].(string); return value }
	if text("requestID") != requestID || text("endpoint") != path || text("issuer") != c.issuer || text("reason") != c.reason() ||
		text("wouldRefuse") != string(c.wouldRefuse) || (text("message") == "") != (c.code == "") {
		t.Errorf("%s: the audit log has %v", path, record)
	}
	var entry struct {
		Msg, Issuer, Reason string
		WouldRefuse         string `json:"would_refuse"`
	}
	lines := linesWith(e.read(t, "log"), requestID)
	if len(lines) != 1 {
		t.Fatalf("%s: expected one line in the log, got %q", path, lines)
	}
	if err := json.Unmarshal([]byte(lines[0]), &entry); err != nil {
		t.Fatal(err)
	}
	if entry.Msg != "token reviewed" || entry.Issuer != c.issuer || entry.Reason != c.reason() || entry.WouldRefuse != string(c.wouldRefuse) {
		t.Errorf("%s: the log has %s", path, lines[0])
	}
}

func linesWith(text, part string) (lines []string) {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			lines = append(lines, line)
		}
	}
	return lines
}

func (e *everywhere) checkMetrics(t *testing.T, c *reasonCase, before, after map[string]string) {
	t.Helper()
	issuer := c.issuer
	if issuer == "" {
		issuer = "-"
	}
	want := map[string]int{`tokenreview_reviews_total{issuer="` + issuer + `",reason="` + c.reason() + `"}`: 2}
	if c.wouldRefuse != "" {
		want[`tokenreview_would_refuse_total{issuer="`+issuer+`",reason="`+string(c.wouldRefuse)+`"}`] = 2
	}
	for name, value := range after {
		if !strings.HasPrefix(name, "tokenreview_reviews_total{") && !strings.HasPrefix(name, "tokenreview_would_refuse_total{") {
			continue
		}
		now, _ := strconv.Atoi(value)
		then, _ := strconv.Atoi(before[name]) // 0 if it is new
		if now-then != want[name] {
			t.Errorf("expected %s to grow by %d, got %s after %s", name, want[name], value, before[name])
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("there is no %v", want)
	}
}

// checkCommand has `webhook review` decide about the token by the same file, without the
// server, and ask the server. It returns all that was said.
func (e *everywhere) checkCommand(t *testing.T, c *reasonCase) (said string) {
	t.Helper()
	issuer := c.issuer
	if issuer == "" {
		issuer = "not ours"
	}
	var patterns []string
	if c.code != "" {
		patterns = append(patterns, `(?m)^`+regexp.QuoteMeta(c.check)+` +failed +`, `(?m)^`+issuer+`: .+ \(`+string(c.code)+`\)$`)
	}
	if c.wouldRefuse != "" {
		patterns = append(patterns, `(?m)^`+regexp.QuoteMeta(c.check)+` +would fail +`, `(?m)^`+issuer+`: would be refused.+ \(`+string(c.wouldRefuse)+`\)$`)
	}
	for _, args := range [][]string{
		{"--config", e.file("webhook.yaml")},
		{"--server", "https://" + e.secure, "--certificate-authority", e.file("pki/ca.crt"), "--client-certificate", e.file("pki/auditor.crt"), "--client-key", e.file("pki/auditor.key")},
	} {
		var stdout, stderr bytes.Buffer
		cmd := e.command(append([]string{"review", "--explain"}, args...)...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(c.token), &stdout, &stderr
		err := cmd.Run()
		if (err == nil) != (c.code == "") || (stdout.Len() > 0) != (c.code == "") {
			t.Errorf("webhook review %s: %v; it prints\n%s", args[0], err, stdout.String())
		}
		for _, pattern := range patterns {
			if !regexp.MustCompile(pattern).MatchString(stderr.String()) {
				t.Errorf("expected what matches %s, webhook review %s --explain says\n%s", pattern, args[0], stderr.String())
			}
		}
		said += stdout.String() + stderr.String()
	}
	return said
}
