package tokenreview_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tokenreview.dev/webhook/internal/acceptance"
	"tokenreview.dev/webhook/pkg/audit"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

// BenchmarkHandler shows what is around a decision: it takes turns with the handler,
// which counts each decision and writes it to an audit log in a file, with the
// decision alone, and with a handler that decides nothing. It reports the median time of
// the processor and the allocations of each; around is what the handler adds to the decision.
func BenchmarkHandler(b *testing.B) {
	reviewer, token := githubActions(b)
	// As on a machine that has no processor idle: garbage is not collected beside the work.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, test := range []struct{ name, token string }{{"admitted", token}, {"opaque", "opaque"}} {
		b.Run(test.name, func(b *testing.B) {
			decisions := audit.New(audit.Options{Log: slog.New(slog.DiscardHandler)})
			defer func() { _ = decisions.Close(b.Context()) }()
			if err := decisions.Use(audit.Config{Path: filepath.Join(b.TempDir(), "audit.log"), MaxSizeMB: 10, MaxBackups: 1}); err != nil {
				b.Fatal(err)
			}
			handler := tokenreview.NewHandler(reviewer, tokenreview.Options{
				Metrics: tokenreview.NewMetrics(prometheus.NewRegistry()), Audit: decisions, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
			})
			asked := newRepeated(review("authentication.k8s.io/v1", test.token))
			names := []string{"handler", "decision", "null"}
			turns := []func(){
				func() { asked.by(handler) },
				func() { reviewer.Review(b.Context(), test.token, nil, nil) },
				func() { asked.by(http.HandlerFunc(answerNothing)) },
			}
			times, allocations := make([][]float64, len(turns)), make([][]float64, len(turns))
			for b.Loop() {
				for i, turn := range turns {
					spent, allocated := cost(turn)
					times[i], allocations[i] = append(times[i], spent), append(allocations[i], allocated)
				}
			}
			for i, name := range names {
				b.ReportMetric(median(times[i]), "ns/"+name)
				b.ReportMetric(median(allocations[i]), "allocs/"+name)
			}
			b.ReportMetric(median(times[0])-median(times[1]), "ns/around")
			b.ReportMetric(median(allocations[0])-median(allocations[1]), "allocs/around")
			b.ReportMetric(0, "ns/op") // of all together
		})
	}
}

// githubActions reviews by the configuration of the acceptance case, which accepts the token.
func githubActions(b *testing.B) (*tokenreview.Reviewer, string) {
	b.Helper()
	all, err := acceptance.Cases()
	if err != nil {
		b.Fatal(err)
	}
	cases := slices.DeleteFunc(all, func(c acceptance.Case) bool { return c.Name != "a-github-actions" })
	running := acceptance.StartIssuers(cases)
	b.Cleanup(running.Close)
	data, err := acceptance.Configuration(cases, running)
	if err != nil {
		b.Fatal(err)
	}
	reviewer, _ := newReviewer(b, data)
	for _, token := range cases[0].Tokens(time.Now()) {
		if token.Accepted() {
			return reviewer, running.Sign(cases[0], token)
		}
	}
	b.Fatal("no token is accepted")
	return nil, ""
}

// answerNothing reads the request as a handler must, and answers the same each time.
func answerNothing(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","metadata":{},"spec":{},"status":{"user":{}}}`)
}

// repeated is one request, sent again and again, and where the answers go. It costs
// nothing itself.
type repeated struct {
	request *http.Request
	body    strings.Reader
	text    string
	header  http.Header
}

func newRepeated(body string) *repeated {
	r := &repeated{text: body, header: http.Header{}}
	r.request = httptest.NewRequest(http.MethodPost, tokenreview.AuthenticatePath, nil)
	r.request.Header.Set("Content-Type", "application/json")
	r.request.ContentLength = int64(len(body))
	r.request.Body = io.NopCloser(&r.body)
	return r
}

func (r *repeated) by(handler http.Handler) {
	r.body.Reset(r.text)
	clear(r.header)
	handler.ServeHTTP(r, r.request)
}

func (r *repeated) Header() http.Header { return r.header }

func (*repeated) WriteHeader(int) {}

func (*repeated) Write(data []byte) (int, error) { return len(data), nil }

// cost is what one time costs of many: nanoseconds of the processor, those that other
// goroutines spend on it included, and allocations.
func cost(of func()) (nanoseconds, allocations float64) {
	const times = 500
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	spent := processorTime()
	for range times {
		of()
	}
	spent = processorTime() - spent
	runtime.ReadMemStats(&after)
	return float64(spent) / times, float64(after.Mallocs-before.Mallocs) / times
}

func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}
