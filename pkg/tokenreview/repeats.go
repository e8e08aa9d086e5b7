package tokenreview

import (
	"github.com/go-json-experiment/json/jsontext"

	"tokenreview.dev/webhook/internal/keyedhash"
	"tokenreview.dev/webhook/pkg/audit"
)

const (
	// maxRepeats is how many requests are remembered by one configuration.
	maxRepeats = 1024
	// maxRepeat is how many bytes of answer are remembered with one. Most have some hundred.
	maxRepeat = 8 << 10
)

// repeat is a request for a decision that was used again, by the keyed hash of its body:
// API servers write the same about the same token. As long as the decision holds, neither
// is the body read again nor the answer written again.
type repeat struct {
	decision    *decided
	answer      Answer            // of it
	fingerprint audit.Fingerprint // of the token
	recorded    jsontext.Value    // is audit.Record's Written
	body        []byte            // of the response
}

// repeated remembers what was answered to a question about a decision that is remembered.
func (d *decisions) repeated(question *question, known *decided, answer *Answer, body []byte) {
	if question.body == (keyedhash.Sum{}) || len(body) > maxRepeat {
		return
	}
	recorded, err := newRecord(question, answer).Decision()
	if err != nil {
		return
	}
	d.repeats.Add(question.body, &repeat{
		decision: known, answer: *answer, fingerprint: question.fingerprint, recorded: recorded, body: body,
	})
}

// same returns what was answered to a request with the same body, nil if none is
// remembered, or if its decision does not hold any more.
func (r *Reviewer) same(body keyedhash.Sum) *repeat {
	decisions := r.inForce.Load().decisions
	value, ok := decisions.repeats.Get(body)
	if !ok {
		return nil
	}
	if same := value.(*repeat); same.decision.holds(decisions.now()) {
		return same
	}
	decisions.repeats.Remove(body)
	return nil
}
