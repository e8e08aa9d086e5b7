package tokenreview

import (
	"slices"
	"sync"
	"time"

	"k8s.io/utils/lru"

	"tokenreview.dev/webhook/pkg/audit"
)

const (
	// maxRecentProven and maxRecentOthers are of how many tokens recent decisions are
	// remembered: of those that an issuer of ours has signed, and of those that anybody may
	// have made up, which must not push out the others.
	maxRecentProven, maxRecentOthers = 4096, 1024
	// maxEvents is how many decisions about one token are remembered.
	maxEvents = 5
)

// Event is one decision of the past, in the form that auditors are shown.
type Event struct {
	Time      time.Time `json:"time"`
	RequestID string    `json:"requestID"`
	Endpoint  string    `json:"endpoint"`
	// Caller is the common name of the caller's certificate.
	Caller string `json:"caller,omitempty"`
	Reason string `json:"reason"`
}

// recent remembers the last decisions about the tokens that came last. It is safe for
// concurrent use.
type recent struct {
	mu             sync.Mutex
	proven, others *lru.Cache // of audit.Fingerprint → *[]Event, the latest last
}

func newRecent() *recent {
	return &recent{proven: lru.New(maxRecentProven), others: lru.New(maxRecentOthers)}
}

// of returns the decisions about a token, the latest first.
func (r *recent) of(token audit.Fingerprint) []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	// A token is not proven while its issuer's keys are away, and may be later.
	all := slices.Concat(events(r.proven, token), events(r.others, token))
	slices.Reverse(all) // for those of the same time
	slices.SortStableFunc(all, func(a, b Event) int { return b.Time.Compare(a.Time) })
	return all[:min(len(all), maxEvents)]
}

// add remembers one decision.
func (r *recent) add(question *question, answer *Answer) {
	known := r.others
	if answer.Proven {
		known = r.proven
	}
	event := Event{
		Time: question.at.UTC(), RequestID: question.id, Endpoint: question.endpoint,
		Caller: question.caller.name(), Reason: answer.Reason(),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	value, ok := known.Get(question.fingerprint)
	if !ok {
		known.Add(question.fingerprint, &[]Event{event})
		return
	}
	same := value.(*[]Event)
	if len(*same) == maxEvents {
		*same = slices.Delete(*same, 0, 1)
	}
	*same = append(*same, event)
}

func events(known *lru.Cache, of audit.Fingerprint) []Event {
	value, ok := known.Get(of)
	if !ok {
		return nil
	}
	return *value.(*[]Event)
}
