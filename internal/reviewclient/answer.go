package reviewclient

import (
	"bytes"
	"encoding/json"
	"errors"

	authenticationv1 "k8s.io/api/authentication/v1"

	"tokenreview.dev/webhook/internal/redact"
	"tokenreview.dev/webhook/pkg/reason"
	"tokenreview.dev/webhook/pkg/tokenreview"
	"tokenreview.dev/webhook/pkg/trace"
)

// Answer is what a server has decided. Nothing of the token is in it, whatever the
// server has sent.
type Answer struct {
	// Review is the whole answer.
	Review *authenticationv1.TokenReview
	// Issuer is the short name of the issuer, empty where the token is none of the
	// server's.
	Issuer string
	// Refusal is why the token is not accepted. Zero means that it is.
	Refusal reason.Refusal
	// WouldRefuse is what was recorded and not enforced.
	WouldRefuse reason.Refusal
	// RequestID and Fingerprint are this review's and this token's in the audit log.
	RequestID, Fingerprint string
	// Recent is what happened to the token of late, newest first.
	Recent []tokenreview.Event
	// Steps are those of the decision, if they were asked for.
	Steps []trace.Step
}

var errNoReview = errors.New("the answer is not a TokenReview of authentication.k8s.io/v1 as /tokenreview gives it")

// answer reads an answer. It is refused if what it says of the token is not clear: who
// reads it takes the token for good, or for bad.
func (c *Client) answer(data []byte, token string) (*Answer, error) {
	answer, err := parseAnswer(data, token)
	if err != nil {
		return nil, c.errorf("%s", err)
	}
	return answer, nil
}

func parseAnswer(data []byte, token string) (*Answer, error) {
	review, err := parseReview(data, token)
	if err != nil {
		return nil, err
	}
	said := review.Annotations
	answer := &Answer{
		Review:      review,
		Issuer:      said[tokenreview.AnnotationIssuer],
		RequestID:   said[tokenreview.AnnotationRequestID],
		Fingerprint: said[tokenreview.AnnotationFingerprint],
		WouldRefuse: reason.Refusal{Code: reason.Code(said[tokenreview.AnnotationWouldRefuse]), Text: said[tokenreview.AnnotationWouldRefuseMessage]},
	}
	code := said[tokenreview.AnnotationReason]
	if code == "" || (code == reason.Allowed) != review.Status.Authenticated || review.Status.Authenticated && review.Status.User.Username == "" {
		return nil, errNoReview
	}
	if code != reason.Allowed {
		answer.Refusal = reason.Refusal{Code: reason.Code(code), Text: said[tokenreview.AnnotationMessage]}
	}
	if !readList(said, tokenreview.AnnotationTrace, token, &answer.Steps) || !readList(said, tokenreview.AnnotationRecent, token, &answer.Recent) {
		return nil, errNoReview
	}
	return answer, nil
}

// readList reads an annotation that is a JSON array and may be missing. Its texts are
// redacted once more, there as well: they may have been spelled with escapes.
func readList(annotations map[string]string, name, token string, into any) bool {
	annotation := annotations[name]
	if annotation == "" {
		return true
	}
	var members any
	if json.Unmarshal([]byte(annotation), &members) != nil {
		return false
	}
	plain, err := json.Marshal(members)
	if err != nil {
		return false
	}
	redacted, err := json.Marshal(withoutToken(members, token))
	if !bytes.Equal(plain, redacted) {
		annotations[name] = string(redacted)
	}
	return err == nil && json.Unmarshal(redacted, into) == nil
}

// parseReview reads a TokenReview without its spec, and without what it repeats of the
// token. Errors do not quote it.
func parseReview(data []byte, token string) (*authenticationv1.TokenReview, error) {
	var members map[string]any
	if err := json.Unmarshal(data, &members); err != nil {
		return nil, errNoReview
	}
	if members["apiVersion"] != authenticationv1.SchemeGroupVersion.String() || members["kind"] != "TokenReview" {
		return nil, errNoReview
	}
	redacted, err := json.Marshal(map[string]any{
		"apiVersion": members["apiVersion"], "kind": members["kind"],
		"metadata": withoutToken(members["metadata"], token), "status": withoutToken(members["status"], token),
	})
	if err != nil {
		return nil, errNoReview
	}
	review := &authenticationv1.TokenReview{}
	if err := json.Unmarshal(redacted, review); err != nil {
		return nil, errNoReview
	}
	return review, nil
}

// withoutToken redacts the token in every text of a JSON value: whoever asks on
// somebody's behalf shows others what comes back.
func withoutToken(value any, token string) any {
	switch value := value.(type) {
	case string:
		return redact.Without(value, token)
	case []any:
		for i := range value {
			value[i] = withoutToken(value[i], token)
		}
		return value
	case map[string]any:
		redacted := make(map[string]any, len(value))
		for name, member := range value {
			redacted[redact.Without(name, token)] = withoutToken(member, token)
		}
		return redacted
	default:
		return value
	}
}
