package chaos

import (
	"testing"
	"time"
)

// fault is one way in which things go wrong.
type fault struct {
	// name is what happens, load who asks beside the usual load.
	name, load string
	// others are issuers beside the usual two.
	others []string
	// provoke does it, lets the load carry on meanwhile and puts things right again.
	provoke func(t *testing.T, b *bench)
}

// faults are all of them, in the order of the report.
func faults() []fault {
	return inOneList(issuerFaults(), keyFaults(), strangerFaults(), webhookFaults(), stateFaults())
}

func inOneList(groups ...[]fault) (all []fault) {
	for _, group := range groups {
		all = append(all, group...)
	}
	return all
}

// No valid token is refused, no other is accepted, and no answer is missing, whatever
// happens to the issuers, to the webhook and to its files.
func TestEveryAnswerIsRightWhile(t *testing.T) {
	t.Parallel()
	all := faults()
	report := newReport(all)
	t.Cleanup(func() { report.publish(t) })
	for n, f := range all {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			b, stop := newBench(t, f.others...)
			begun := time.Now()
			// Every question is answered before the processes end, which is with the test.
			defer func() {
				stop()
				b.load.check(t)
				report.add(n, b.load, time.Since(begun))
			}()
			f.provoke(t, b)
		})
	}
}
