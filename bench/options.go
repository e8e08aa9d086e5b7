package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"time"
)

// options say what is measured, and for how long.
type options struct {
	// webhook is the program that is measured.
	webhook string
	// out is the file of the report, empty for standard output.
	out string
	// rounds is how often what is compared takes turns.
	rounds int
	// slice is how long each has its turn in process.
	slice time.Duration
	// tokens is how many distinct tokens the caches and the memory see.
	tokens int
	short  bool
	sizes  sizes
}

// request is how long each has its turn over HTTPS, and requestRounds how often: where
// clients and server share processors, fewer is noise.
func (o options) request() time.Duration { return 5 * o.slice }
func (o options) requestRounds() int     { return 3 * o.rounds }

// sizes are the points of the curves.
type sizes struct {
	issuers, rules, groups, keys, connections []int
	// distinct are numbers of distinct tokens, below options.tokens.
	distinct []int
	starts   int
}

func parseOptions(args []string) (options, error) {
	opts := options{sizes: sizes{
		issuers:     []int{1, 4, 16, 64},
		rules:       []int{10, 100, 1000, 10_000},
		groups:      []int{1, 10, 50, 200},
		keys:        []int{1, 10, 100},
		connections: []int{1, 4, 16, 64, 256},
		distinct:    []int{1, 100, 10_000},
		starts:      9,
	}}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(os.Stderr)
	flags.StringVar(&opts.webhook, "webhook", "bin/webhook", "the webhook `program` to measure")
	flags.StringVar(&opts.out, "out", "", "`file` of the report; standard output if it is empty")
	flags.IntVar(&opts.rounds, "rounds", 11, "how often what is compared takes turns")
	flags.DurationVar(&opts.slice, "duration", 200*time.Millisecond, "how long each has its turn in process; five times as long over HTTPS")
	flags.IntVar(&opts.tokens, "tokens", 1_000_000, "how many distinct tokens the cache and the process see")
	flags.BoolVar(&opts.short, "short", false, "do everything once and briefly, to see that it works: the numbers mean nothing, and no bar counts")
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	if flags.NArg() > 0 {
		return opts, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if opts.short {
		opts.rounds, opts.slice, opts.tokens = 1, 5*time.Millisecond, 300
		opts.sizes = sizes{
			issuers: []int{1, 2}, rules: []int{10, 100}, groups: []int{1, 10}, keys: []int{1, 2}, connections: []int{1, 4},
			distinct: []int{1, 100}, starts: 1,
		}
	}
	switch {
	case opts.rounds < 1:
		return opts, errors.New("-rounds: at least one is needed")
	case opts.slice <= 0:
		return opts, errors.New("-duration: must be more than 0")
	case opts.tokens <= opts.sizes.distinct[len(opts.sizes.distinct)-1]:
		return opts, fmt.Errorf("-tokens: must be more than %d", opts.sizes.distinct[len(opts.sizes.distinct)-1])
	}
	return opts, nil
}
