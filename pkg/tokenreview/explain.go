package tokenreview

import (
	"encoding/json"

	"tokenreview.dev/webhook/pkg/audit"
	"tokenreview.dev/webhook/pkg/trace"
)

// Annotations of the TokenReviews that auditors are answered with.
const (
	AnnotationRequestID = "tokenreview.dev/request-id"
	// AnnotationIssuer is the issuer's short name, absent for a token of none of ours.
	AnnotationIssuer = "tokenreview.dev/issuer"
	// AnnotationReason is the code of the refusal, or reason.Allowed, and AnnotationMessage
	// the refusal's text.
	AnnotationReason  = "tokenreview.dev/reason"
	AnnotationMessage = "tokenreview.dev/message"
	// AnnotationWouldRefuse and AnnotationWouldRefuseMessage are of what the issuer's policy
	// has recorded and not enforced.
	AnnotationWouldRefuse        = "tokenreview.dev/would-refuse"
	AnnotationWouldRefuseMessage = "tokenreview.dev/would-refuse-message"
	// AnnotationFingerprint is the token's fingerprint in the audit log.
	AnnotationFingerprint = "tokenreview.dev/fingerprint"
	// AnnotationRecent is a JSON array of the last Events about the token, the latest
	// first.
	AnnotationRecent = "tokenreview.dev/recent"
	// AnnotationTrace is a JSON array of trace.Steps, in the order in which they ran.
	AnnotationTrace = "tokenreview.dev/trace"
)

// Annotations say why the answer is what it is. steps may be nil for not asked for.
func (a *Answer) Annotations(steps *trace.Trace) map[string]string {
	annotations := map[string]string{AnnotationReason: a.Reason()}
	for name, text := range map[string]string{
		AnnotationIssuer:             a.Issuer,
		AnnotationMessage:            a.Refusal.Text,
		AnnotationWouldRefuse:        string(a.WouldRefuse.Code),
		AnnotationWouldRefuseMessage: a.WouldRefuse.Text,
	} {
		if text != "" {
			annotations[name] = text
		}
	}
	if steps.On() {
		annotations[AnnotationTrace] = toJSON(steps.Steps())
	}
	return annotations
}

// annotations are the answer's, and what is known of the question. before is what was
// decided about the token before.
func (q *question) annotations(answer *Answer, before []Event) map[string]string {
	annotations := answer.Annotations(q.steps)
	annotations[AnnotationRequestID] = q.id
	if q.fingerprint != (audit.Fingerprint{}) {
		annotations[AnnotationFingerprint] = q.fingerprint.String()
	}
	if len(before) > 0 {
		annotations[AnnotationRecent] = toJSON(before)
	}
	return annotations
}

func toJSON(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		// Cannot be: the types are our own, made of text and lists.
		panic(err)
	}
	return string(data)
}
