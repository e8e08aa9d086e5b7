package monitoring

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// reference is a metric that an expression names, with the labels that it matches.
type reference struct {
	metric string
	labels []matcher
}

type matcher struct{ label, operator, value string }

// tokens of PromQL, as far as names are to be told from the rest: strings, matchers,
// durations, numbers with or without a unit, names and variables, anything else.
var tokens = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"|'(?:[^'\\\\]|\\\\.)*'|\\{[^}]*\\}|\\[[^\\]]*\\]|\\d[\\w.]*|[a-zA-Z_:][\\w:]*|\\S")

var matchers = regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)\s*(?:"([^"]*)"|'([^']*)')`)

// keywords of PromQL that stand where a metric could; grouping are those before a list of labels.
func keywords() []string {
	return append(grouping(), "and", "or", "unless", "offset", "bool", "inf", "nan", "atan2")
}

func grouping() []string {
	return []string{"by", "without", "on", "ignoring", "group_left", "group_right"}
}

// references are the metrics that an expression names. It has to be one that
// Prometheus can read.
func references(expression string) []reference {
	all, _ := parse(expression)
	return all
}

// parse returns the metrics that an expression names, and the labels that it groups or joins by.
func parse(expression string) (metrics []reference, labels []string) {
	found := tokens.FindAllString(expression, -1)
	at := func(i int) string {
		if i < len(found) {
			return found[i]
		}
		return ""
	}
	for i := 0; i < len(found); i++ {
		token := found[i]
		switch {
		case slices.Contains(grouping(), strings.ToLower(token)):
			if at(i+1) != "(" {
				continue
			}
			for i += 2; i < len(found) && found[i] != ")"; i++ {
				if found[i] != "," {
					labels = append(labels, found[i])
				}
			}
		case !regexp.MustCompile(`^[a-zA-Z_:]`).MatchString(token), slices.Contains(keywords(), strings.ToLower(token)):
		case at(i+1) == "(", slices.Contains(grouping(), at(i+1)): // a function
		default:
			metric := reference{metric: token}
			if strings.HasPrefix(at(i+1), "{") {
				for _, match := range matchers.FindAllStringSubmatch(at(i+1), -1) {
					metric.labels = append(metric.labels, matcher{match[1], match[2], match[3] + match[4]})
				}
			}
			metrics = append(metrics, metric)
		}
	}
	return metrics, labels
}

func TestNamesAreFoundInExpressions(t *testing.T) {
	for _, test := range []struct {
		name, expression string
		metrics, labels  []string
	}{
		{"one", `up`, []string{"up"}, nil},
		{"matchers and a range", `rate(a_total{b="x", c=~"y|z"}[5m] offset 1h)`, []string{"a_total b=x c=~y|z"}, nil},
		{"grouping before and after", `sum by (x, y) (a) + sum(b) without (z)`, []string{"a", "b"}, []string{"x", "y", "z"}},
		{"a join", `a * on (x) group_left (y) b:c`, []string{"a", "b:c"}, []string{"x", "y"}},
		{"group_left of nothing", `a * on (x) group_left b`, []string{"a", "b"}, []string{"x"}},
		{"strings, numbers and units", `label_replace(a, "b", "$1", "c", "(d)") > 2e3 and vector(1) offset 6h`, []string{"a"}, nil},
		{"keywords", `a and b or c unless d == bool 1`, []string{"a", "b", "c", "d"}, nil},
		{"a subquery", `max_over_time(a[1d:30m] offset 6h)`, []string{"a"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			metrics, labels := parse(test.expression)
			for _, metric := range metrics {
				text := metric.metric
				for _, m := range metric.labels {
					text += " " + m.label + m.operator + m.value
				}
				got = append(got, text)
			}
			if !slices.Equal(got, test.metrics) || !slices.Equal(labels, test.labels) {
				t.Errorf("expected %q and %q, got %q and %q", test.metrics, test.labels, got, labels)
			}
		})
	}
}
