package policytest

import (
	"fmt"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"tokenreview.dev/webhook/internal/whoami"
	"tokenreview.dev/webhook/pkg/api/v1alpha1"
)

// explain is what people need to know of a case that has failed: the difference
// between what was expected and what came, and how it came to that.
func (r *Result) explain() string {
	var text strings.Builder
	text.WriteString("expected -, got +:\n")
	for _, line := range diff(lines(r.Expected), lines(r.Got)) {
		text.WriteString(whoami.Printable(line) + "\n")
	}
	text.WriteString("\n")
	_ = whoami.PrintSteps(&text, r.Steps, false) // To memory.
	return text.String()
}

// summary says in a few words, which may not be printable, what was expected and what
// came.
func (r *Result) summary() string {
	want, got := r.Expected, r.Got
	if want.User == nil || got.User == nil {
		if (want.User == nil) != (got.User == nil) || want.Reason != got.Reason || want.Text != got.Text {
			return "expected " + outcome(want) + ", got " + outcome(got)
		}
		want.User, got.User = &authenticationv1.UserInfo{}, &authenticationv1.UserInfo{}
	}
	var parts []string
	for _, member := range []struct {
		name      string
		want, got any
	}{
		{"username", want.User.Username, got.User.Username},
		{"uid", want.User.UID, got.User.UID},
		{"groups", want.User.Groups, got.User.Groups},
		{"extra", want.User.Extra, got.User.Extra},
		{"audiences", want.Audiences, got.Audiences},
		{"wouldRefuse", want.WouldRefuse, got.WouldRefuse},
	} {
		if !equality.Semantic.DeepEqual(member.want, member.got) {
			parts = append(parts, fmt.Sprintf("expected %s %q, got %q", member.name, member.want, member.got))
		}
	}
	return strings.Join(parts, "; ")
}

func outcome(e v1alpha1.PolicyTestExpectation) string {
	switch {
	case e.User != nil:
		return "a user"
	case e.Text == "":
		return e.Reason
	default:
		return e.Reason + ": " + e.Text
	}
}

// lines is an expectation as it would be written in a test.
func lines(expectation v1alpha1.PolicyTestExpectation) []string {
	text, err := whoami.YAML(expectation)
	if err != nil {
		panic(err) // Cannot be: it is made of text and lists.
	}
	return strings.Split(strings.TrimRight(string(text), "\n"), "\n")
}

// diff marks the lines that only a has with "-", those that only b has with "+",
// and has as many as possible in common (their longest common subsequence).
func diff(a, b []string) []string {
	// common[i][j] is the length of that of a[i:] and b[j:].
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []string
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, "  "+a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out = append(out, "- "+a[i])
			i++
		default:
			out = append(out, "+ "+b[j])
			j++
		}
	}
	return out
}
