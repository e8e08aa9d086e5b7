package tokenreview

import (
	"testing"

	"k8s.io/apiserver/pkg/authentication/user"

	"tokenreview.dev/webhook/pkg/reason"
)

// Each by itself: whoever cannot decide need not have asked anybody.
func TestWhichDecisionsLast(t *testing.T) {
	for _, test := range []struct {
		name string
		made decided
		want bool
	}{
		{"an accepted token", decided{answer: Answer{Proven: true, User: &user.DefaultInfo{}}}, true},
		{"a refused one", decided{answer: Answer{Proven: true, Refusal: reason.Refusal{Code: reason.Expired}}}, true},
		{"one that nobody is shown to have signed", decided{answer: Answer{Refusal: reason.Refusal{Code: reason.Expired}}}, false},
		{"one that cannot be decided", decided{answer: Answer{Proven: true, Undecided: true}}, false},
		{"one too many", decided{answer: Answer{Proven: true, Overloaded: true}}, false},
		{"one that somebody was asked about", decided{answer: Answer{Proven: true, User: &user.DefaultInfo{}}, asked: true}, false},
	} {
		if got := test.made.lasts(); got != test.want {
			t.Errorf("%s: got %t", test.name, got)
		}
	}
}
