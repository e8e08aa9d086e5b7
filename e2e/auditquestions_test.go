package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"tokenreview.dev/webhook/e2e/cluster"
	"tokenreview.dev/webhook/internal/acceptance"
	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

// auditedDay is the day that the lines are made to be of: a test may run at midnight.
const auditedDay = "2026-07-31"

// Each line of docs/audit.md is given to jq, with the log of a webhook that a real API
// server has asked about real runs of workflows.
func TestTheQuestionsOfThePageAreAnsweredByTheLog(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"jq", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v: install %s, for example by apt-get install %[2]s", err, program)
		}
	}
	dir := t.TempDir()
	run := startAudited(t, dir)

	// In the order in which they are asked about: the log has them in the same.
	deployed := run.github(issuertest.Claims{})
	run.logIn(t, deployed, true)
	run.logIn(t, run.github(issuertest.Claims{
		"repository": "qjoly/another-repo", "repository_id": "1020257998", "sub": "repo:qjoly/another-repo:ref:refs/heads/main",
		"jti": "another", "run_id": "16302845431", "run_attempt": "2", "event_name": "push",
	}), true)
	run.logIn(t, run.github(issuertest.Claims{
		"repository": "mallory/lucca-oidc-poc", "repository_id": "1020258000", "repository_owner": "mallory",
		"repository_owner_id": "666", "sub": "repo:mallory/lucca-oidc-poc:ref:refs/heads/main", "jti": "mallory's",
	}), false)
	jane := run.people.Sign(claims("jane", 1).With(issuertest.Claims{"groups": []string{"red", "admins"}}))
	run.logIn(t, jane, true)
	run.logIn(t, run.people.Sign(claims("bob", 1).With(issuertest.Claims{"exp": time.Now().Add(3 * time.Hour).Unix()})), true)
	run.logIn(t, run.people.Sign(claims("bob", 2).With(issuertest.Claims{"exp": time.Now().Add(-time.Hour).Unix()})), false)
	run.logIn(t, "3f79bb7b435b05321651daefd374cdc681dc06fa", false)
	// Somebody else has jane's token, and somebody asks why.
	elsewhere := run.webhook.Caller(t, cluster.AuditorPair)
	elsewhere.Ask(t, "/authenticate", jane)
	last := elsewhere.Ask(t, "/tokenreview", jane)
	fingerprint := last.TokenReview(t).Annotations[tokenreview.AnnotationFingerprint]
	cluster.Eventually(t, "all is written down", time.Minute, func() error {
		return errors.Join(has(run.process.Log(0), `"requestID":"`+last.RequestID), has(readFile(t, dir, "kube-audit.log"), "JTI=jane-1"))
	})
	writeFile(t, filepath.Join(dir, "token.jwt"), deployed)
	writeFile(t, filepath.Join(dir, "webhook.log"), run.process.Log(0))

	const clock = auditedDay + "TTIME"
	answers := map[string]string{
		"The lines out of a mixed log": "",
		"Which repositories deployed yesterday": `qjoly/another-repo	1
qjoly/lucca-oidc-poc	1
`,
		"By which run": clock + `	github:repo:qjoly/lucca-oidc-poc:ref:refs/heads/main	refs/heads/main	workflow_dispatch	qjoly	https://github.com/qjoly/lucca-oidc-poc/actions/runs/16302845430/attempts/1
` + clock + `	github:repo:qjoly/another-repo:ref:refs/heads/main	refs/heads/main	push	qjoly	https://github.com/qjoly/another-repo/actions/runs/16302845431/attempts/2
`,
		"What a run did": `DAYTTIME	create	/apis/authentication.k8s.io/v1/selfsubjectreviews	201
`,
		"Who was refused, and why": clock + `	github	repo:mallory/lucca-oidc-poc:ref:refs/heads/main	RepositoryNotAllowed	no rule of githubActions.allow admits this token of mallory/lucca-oidc-poc TEXT
` + clock + `	people	bob-2	Expired	the token expired at TEXT
` + clock + `	-	-	TokenMalformed	the token is not a JWT
`,
		"One user's day": clock + `	/authenticate	kube-apiserver	jane-1	red,admins
` + clock + `	/authenticate	auditor	jane-1	red,admins
` + clock + `	/tokenreview	auditor	jane-1	red,admins
`,
		"Refusals by issuer and reason": `3	-	TokenMalformed
3	github	RepositoryNotAllowed
3	people	Expired
`,
		"Refusals that were left out": "0\n",
		"What would be refused if the policy were enforced": `3	people	LifetimeTooLong	people:bob-1	the token is valid for TEXT
`,
		"The same token from two callers": fingerprint + `	jane-1	people:jane-1	auditor@127.0.0.1 kube-apiserver@127.0.0.1
`,
		"The slowest decisions": strings.Repeat("SECONDS	ISSUER	REASON	ID\n", 10),
		"By the command":        "CHECK OUTCOME DETAIL\ngithubActions.allow passed TEXT\nUsername github:repo:qjoly/lucca-oidc-poc:ref:refs/heads/main\n",
		"By any HTTP client": `iss	passed
alg	passed
signature	passed
aud	passed
times	passed
githubActions.allow	passed
username	passed
groups	passed
uid	passed
extra	passed
required claims	passed
claimValidationRules	passed
added groups and extras	passed
userValidationRules	passed
reservedNames	passed
`,
	}
	for _, question := range questions(t) {
		t.Run(question.heading, func(t *testing.T) {
			want, ok := answers[question.heading]
			if !ok {
				t.Fatalf("nobody has said what is to come out of\n%s", question.line)
			}
			delete(answers, question.heading)
			got := run.sh(t, question)
			t.Logf("%s\n%s", question.line, got)
			if got = vague(question.heading, got); got != want {
				t.Errorf("want\n%s\ngot\n%s", want, got)
			}
		})
		if question.heading == "The lines out of a mixed log" {
			makeYesterday(t, dir)
		}
	}
	for heading := range answers {
		t.Errorf("audit.md does not say how to find out %q", heading)
	}
}

// audited is a webhook that writes its log to standard output, and who asks it.
type audited struct {
	dir            string
	actions        acceptance.Token
	issuer, people *issuertest.Issuer
	webhook        *cluster.Webhook
	process        *cluster.WebhookProcess
	server         *cluster.APIServer
}

func startAudited(t *testing.T, dir string) *audited {
	t.Helper()
	cases, err := acceptance.Cases()
	if err != nil {
		t.Fatal(err)
	}
	c, actions := acceptanceRun{all: cases}.token(t, "a-github-actions", "a workflow on the branch main")
	run := &audited{dir: dir, actions: actions, issuer: issuertest.Start(c.Issuer), people: startIssuer(t)}
	t.Cleanup(run.issuer.Close)
	github := trust(run.issuer, "github:")
	from := github["issuer"].(object)
	from["discoveryURL"], from["audiences"] = run.issuer.DiscoveryURL(), []string{"coffee-lucca-poc"}
	people := trust(run.people, "people:")
	people["claimMappings"].(object)["groups"] = object{"claim": "groups", "prefix": ""}
	policy := func(name, issuer string, spec object) object {
		spec["issuer"] = issuer
		return object{"apiVersion": "tokenreview.dev/v1alpha1", "kind": "IssuerPolicy", "metadata": object{"name": name}, "spec": spec}
	}
	run.webhook = cluster.InstallWebhook(t, webhookBinary, cluster.Documents(t, authentication(github, people),
		policy("github", run.issuer.URL, object{"githubActions": object{"allow": []object{
			{"repository": "qjoly/lucca-oidc-poc", "repositoryID": "1020257999"},
			{"repository": "qjoly/another-repo", "repositoryID": "1020257998"},
		}}}),
		policy("people", run.people.URL, object{"enforcement": "Audit", "token": object{"maxLifetime": "1h"}})))
	run.process = run.webhook.Start(t)
	run.server = cluster.Start(t, binaries, cluster.Options{
		WebhookKubeconfig: run.webhook.Kubeconfig, WebhookVersion: "v1", AuditLogFile: filepath.Join(dir, "kube-audit.log"),
	})
	return run
}

// github is a token of a run, that of acceptance case A but for changes.
func (a *audited) github(changes issuertest.Claims) string {
	return a.issuer.Sign(a.actions.Claims.With(changes))
}

func (a *audited) logIn(t *testing.T, token string, want bool) {
	t.Helper()
	if _, accepted, err := a.server.WhoAmI(t.Context(), token); accepted != want || err != nil {
		t.Errorf("accepted: %t, %v; want %t", accepted, err, want)
	}
}

// sh has a shell run a line of the page, where its files and variables are.
func (a *audited) sh(t *testing.T, question question) string {
	t.Helper()
	line := strings.NewReplacer("webhook review", webhookBinary+" review", "127.0.0.1:8443", a.webhook.Address(), "pki/", a.webhook.CertificatesDir()+"/").Replace(question.line)
	cmd := exec.CommandContext(t.Context(), "sh", "-ec", line)
	cmd.Dir = a.dir
	cmd.Env = append(os.Environ(), "day="+auditedDay, "user=people:jane-1", "jti=72b5e0be-16a1-46d2-930a-6a184407f2fc")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s\n%v: %s", line, err, out)
	}
	return string(out)
}

// question is a line of the page, and what it answers.
type question struct{ heading, line string }

// questions are the page's lines with jq, and that with the webhook, in its order.
func questions(t *testing.T) []question {
	t.Helper()
	page := readFile(t, "..", "docs", "audit.md")
	var found []question
	heading := ""
	for _, match := range regexp.MustCompile("(?ms)^#+ ([^\n]+)$|^```sh\n(.+?)^```$").FindAllStringSubmatch(page, -1) {
		switch {
		case match[1] != "":
			heading = match[1]
		case strings.Contains(match[2], "jq ") || strings.HasPrefix(match[2], "webhook "):
			found = append(found, question{heading, match[2]})
		}
	}
	return found
}

// makeYesterday has a log's lines be of auditedDay, and adds the same of the day before
// and the day after, which no question about that day may find.
func makeYesterday(t *testing.T, dir string) {
	t.Helper()
	lines := regexp.MustCompile(`"time":"\d{4}-\d\d-\d\dT`).ReplaceAllString(readFile(t, dir, "audit.log"), `"time":"`+auditedDay+`T`)
	all := lines
	for _, day := range []string{"2026-07-30", "2026-08-01"} {
		all += strings.NewReplacer(auditedDay, day, "lucca-oidc-poc", "of-another-day", "another-repo", "of-another-day", "1630284543", "1730284543").Replace(lines)
	}
	writeFile(t, filepath.Join(dir, "audit.log"), all)
}

// vague is what jq printed without what differs from run to run.
func vague(heading, printed string) string {
	for _, replace := range [][2]string{
		{`T\d\d:\d\d:\d\d\b`, "TTIME"},
		{`(this token of mallory/lucca-oidc-poc|the token expired at|the token is valid for) [^\n]+`, "$1 TEXT"},
	} {
		printed = regexp.MustCompile(replace[0]).ReplaceAllString(printed, replace[1])
	}
	switch heading {
	case "What a run did":
		printed = regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\d`).ReplaceAllString(printed, "DAY")
	case "By any HTTP client":
		printed = regexp.MustCompile(`(?m)^([^\t\n]+\tpassed)\t.+$`).ReplaceAllString(printed, "$1")
	case "By the command":
		var kept strings.Builder
		for _, line := range regexp.MustCompile(`(?m)^(CHECK|githubActions\.allow|Username) .+$`).FindAllString(printed, -1) {
			kept.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
		}
		printed = regexp.MustCompile(`(passed) allow\[0\] .+`).ReplaceAllString(kept.String(), "$1 TEXT")
	case "The slowest decisions":
		printed = regexp.MustCompile(`(?m)^[\d.e-]+\t(-|github|people)\t[A-Z]\w+\t[A-Z2-7]{26}$`).ReplaceAllString(printed, "SECONDS\tISSUER\tREASON\tID")
	}
	return printed
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// has is nil if text has a part in it.
func has(text, part string) error {
	if !strings.Contains(text, part) {
		return fmt.Errorf("there is no %s", part)
	}
	return nil
}
