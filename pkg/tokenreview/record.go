package tokenreview

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	oteltrace "go.opentelemetry.io/otel/trace"

	"tokenreview.dev/webhook/internal/jsonobject"
	"tokenreview.dev/webhook/internal/keyedhash"
	"tokenreview.dev/webhook/internal/logging"
	"tokenreview.dev/webhook/internal/span"
	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/audit"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/trace"
)

// question is one request for a decision.
type question struct {
	id       string
	endpoint string
	caller   *Caller // nil if nothing is proven of them
	address  string
	at       time.Time
	// read is when its body was had, and body the body's keyed hash, both zero for one that
	// is not remembered.
	read time.Time
	body keyedhash.Sum
	// same is the same request before, if it is remembered; then nothing is decoded.
	same   *repeat
	review untrustedReview
	// steps are recorded where they are asked for.
	steps *trace.Trace
	// took is how long it took to decide.
	took        time.Duration
	fingerprint audit.Fingerprint // of the token
}

// name has the answer say which request is answered.
func (q *question) name(w http.ResponseWriter) { w.Header().Set(requestIDHeader, q.id) }

// recorder tells people of decisions: in metrics, the audit log, the log, the span of
// the request, and to auditors who ask about the same token. It is safe for concurrent
// use.
type recorder struct {
	metrics *Metrics
	audit   *audit.Log
	recent  *recent
	log     *slog.Logger
	// refusals and spared are log, bounded.
	refusals, spared *slog.Logger
}

// reviewsPerSecond bounds what refused tokens add to the log at info, and again what
// those add that a policy would refuse: the ones must not hide the others.
const reviewsPerSecond = 10

func newRecorder(options Options) *recorder {
	return &recorder{
		metrics: options.Metrics, audit: options.Audit, recent: newRecent(), log: options.Log,
		refusals: logging.Limited(options.Log, reviewsPerSecond),
		spared:   logging.Limited(options.Log, reviewsPerSecond),
	}
}

// fingerprint is a token's for the audit log, zero if there is none.
func (r *recorder) fingerprint(token string) audit.Fingerprint {
	if r.audit == nil {
		return audit.Fingerprint{}
	}
	return r.audit.Fingerprint(token)
}

// record tells of one decision, and returns for auditors what was recorded of the same
// token before.
func (r *recorder) record(ctx context.Context, question *question, answer *Answer, level v1alpha1.AuditLevel) (before []Event) {
	r.metrics.observe(answer, question)
	r.logAnswer(ctx, question, answer)
	if of := oteltrace.SpanFromContext(ctx); of.IsRecording() {
		attribute(of, question, answer)
	}
	if r.audit == nil {
		return nil
	}
	r.audit.Write(newRecord(question, answer), level)
	if question.endpoint == TokenReviewPath {
		before = r.recent.of(question.fingerprint)
	}
	r.recent.add(question, answer)
	return before
}

func attribute(of oteltrace.Span, question *question, answer *Answer) {
	of.SetAttributes(span.Issuer.String(answer.Issuer), span.Reason.String(answer.Reason()), span.RequestID.String(question.id))
}

// newRecord is what the audit log is told.
func newRecord(question *question, answer *Answer) *audit.Record {
	record := &audit.Record{
		Time: question.at.UTC(), RequestID: question.id, Endpoint: question.endpoint,
		Caller: audit.Caller{Address: question.address},
		Issuer: answer.Issuer, Proven: answer.Proven, Reason: answer.Reason(), Message: answer.Refusal.Text,
		WouldRefuse: string(answer.WouldRefuse.Code), WouldRefuseMessage: answer.WouldRefuse.Text,
		JTI: answer.Signed.JTI, Subject: answer.Signed.Subject, Claims: answer.Signed.Others,
		Fingerprint: question.fingerprint, Cached: answer.Cached, Duration: question.took.Seconds(),
	}
	if question.same != nil {
		record.Written = question.same.recorded
	}
	if caller := question.caller; caller != nil {
		record.Caller.CommonName, record.Caller.Organizations, record.Caller.URIs = caller.CommonName, caller.Organizations, caller.URIs
	}
	if answer.User != nil {
		record.Username, record.UID, record.Groups = answer.User.Name, answer.User.UID, answer.User.Groups
	}
	return record
}

// maxRecordedClaim is how many bytes of JSON a claim may have to be recorded.
const maxRecordedClaim = 1 << 10

// recorded is what is recorded of claims: those of names, too. It holds nothing else of
// the token.
func recorded(claims *issuers.Claims, names []string) SignedClaims {
	return SignedClaims{JTI: recordedText(claims, "jti"), Subject: recordedText(claims, "sub"), Others: recordedClaims(claims, names)}
}

// recordedText is a claim that is text, empty if it is none.
func recordedText(claims *issuers.Claims, name string) string {
	value, err := claims.String(name)
	if err != nil || len(value) > maxRecordedClaim {
		return ""
	}
	return value
}

// recordedSize is the room for recorded claims to begin with, in bytes: enough for those of
// most tokens, and little more, as it is kept while the decision is remembered.
const recordedSize = 1 << 9

// recordedClaims is an object of those of names that the token has, nil if it has none.
// It is written once, however often the decision is used again.
func recordedClaims(claims *issuers.Claims, names []string) jsontext.Value {
	if len(names) == 0 {
		return nil
	}
	w, found := jsonobject.New(make([]byte, 0, recordedSize)), false
	for _, name := range names {
		value, ok := claims.Get(name)
		switch {
		case !ok:
			continue
		case len(value) > maxRecordedClaim:
			w.Text(name, "left out: "+strconv.Itoa(len(value))+" bytes")
		default:
			w.Value(name, value)
		}
		found = true
	}
	// The issuers have read the claims: they are JSON.
	others, err := w.End()
	if !found || err != nil {
		return nil
	}
	return others
}

// logAnswer logs what becomes of a token that an issuer of ours has signed, at a
// bounded rate, since such a token can be sent again and again: at warn that it
// cannot be decided, at info that it is refused, or would be if its policy were
// enforced. What anybody can cause without such a token is logged at debug only.
func (r *recorder) logAnswer(ctx context.Context, question *question, answer *Answer) {
	log, level := r.log, slog.LevelDebug
	switch {
	case answer.Proven && answer.Undecided:
		log, level = r.refusals, slog.LevelWarn
	case answer.Proven && answer.User == nil:
		log, level = r.refusals, slog.LevelInfo
	case answer.Proven && !answer.WouldRefuse.IsZero():
		log, level = r.spared, slog.LevelInfo
	}
	if !log.Enabled(ctx, level) {
		return
	}
	attributes := []slog.Attr{slog.String("issuer", answer.Issuer), slog.String("reason", answer.Reason())}
	if answer.User != nil {
		attributes = append(attributes, slog.String("username", answer.User.Name))
	} else {
		attributes = append(attributes, slog.String("text", answer.Refusal.Text))
	}
	if !answer.WouldRefuse.IsZero() {
		attributes = append(attributes, slog.String("would_refuse", string(answer.WouldRefuse.Code)), slog.String("would_refuse_text", answer.WouldRefuse.Text))
	}
	for _, claim := range []struct{ name, value string }{{"sub", answer.Signed.Subject}, {"jti", answer.Signed.JTI}} {
		if claim.value != "" {
			attributes = append(attributes, slog.String(claim.name, claim.value))
		}
	}
	attributes = append(attributes, slog.String("request_id", question.id))
	log.LogAttrs(ctx, level, "token reviewed", attributes...)
}
