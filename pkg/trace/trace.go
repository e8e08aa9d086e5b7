// Package trace records the steps of one decision for whoever asked why.
package trace

// Outcome is how one check came out.
type Outcome string

const (
	Passed Outcome = "passed"
	Failed Outcome = "failed"
	// WouldFail is a check whose refusal is recorded and not enforced.
	WouldFail Outcome = "would fail"
)

// Step is one check of a decision, in the form that an explanation shows.
type Step struct {
	Check   string  `json:"check"`
	Outcome Outcome `json:"outcome"`
	Detail  string  `json:"detail,omitempty"`
}

// Trace collects the steps in the order they ran. A nil *Trace records nothing;
// callers ask On before they spend anything on a detail. A Trace belongs to one
// decision and is not safe for concurrent use.
type Trace struct {
	steps []Step
}

// On reports whether anybody asked for the steps.
func (t *Trace) On() bool { return t != nil }

// Add records one step.
func (t *Trace) Add(check string, outcome Outcome, detail string) {
	if t != nil {
		t.steps = append(t.steps, Step{Check: check, Outcome: outcome, Detail: detail})
	}
}

// Steps returns what was recorded.
func (t *Trace) Steps() []Step {
	if t == nil {
		return nil
	}
	return t.steps
}
